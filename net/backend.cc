#include "net/backend.h"

namespace net {

std::string_view name_of(Backend backend) {
  return backend == Backend::kUring ? "io_uring" : "epoll";
}

std::optional<Backend> parse_backend(std::string_view name) {
  for (const Backend backend : {Backend::kEpoll, Backend::kUring}) {
    if (name == name_of(backend)) return backend;
  }
  if (name == "auto") return std::nullopt;
  throw std::invalid_argument(std::string(kBackendNames));
}

#ifdef ECHOBENCH_URING
const UringFeatures& uring_features_here() {
  static const UringFeatures kFeatures = probe_uring();
  return kFeatures;
}
#endif

Backend best_backend(std::string& why_not) {
#ifdef ECHOBENCH_URING
  try {
    probe_uring();
    return Backend::kUring;
  } catch (const BackendUnavailable& unavailable) {
    why_not = unavailable.what();
  }
#else
  why_not = "io_uring is not in this build: liburing was not found";
#endif
  return Backend::kEpoll;
}

std::string_view liburing_version() {
#ifdef ECHOBENCH_LIBURING_VERSION
  return ECHOBENCH_LIBURING_VERSION;
#else
  return "";
#endif
}

}  // namespace net
