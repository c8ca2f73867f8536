#include "net/backend.h"

namespace net {

std::string_view name_of(Backend backend) {
  std::string_view name;
  const auto look = [&](auto choice) {
    if (choice.kBackend == backend) name = decltype(choice)::IO::kName;
  };
  std::apply([&](auto... choices) { (look(choices), ...); }, Backends{});
  return name;
}

std::optional<Backend> backend_named(std::string_view name) {
  std::optional<Backend> found;
  const auto look = [&](auto choice) {
    if (decltype(choice)::IO::kName == name) found = choice.kBackend;
  };
  std::apply([&](auto... choices) { (look(choices), ...); }, Backends{});
  return found;
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
