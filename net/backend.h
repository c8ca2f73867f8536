// The backends and the one place where one of them is chosen: a new one is a file in net/ and a
// line in with_engine().
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "net/clock.h"
#include "net/epoll_engine.h"
#ifdef ECHOBENCH_URING
#include "net/uring_engine.h"
#endif

namespace net {

enum class Backend { kEpoll, kUring };

inline constexpr std::string_view kBackendNames = "epoll, io_uring or auto";

/// "epoll", "io_uring": as in the line `listening on 127.0.0.1:8888 (epoll)`.
std::string_view name_of(Backend backend);

/// The backend that an option names; nullopt for "auto". Throws std::invalid_argument.
std::optional<Backend> parse_backend(std::string_view name);

/// io_uring where it works here, else epoll; `why_not` then says why.
Backend best_backend(std::string& why_not);

/// The version of liburing this was built with; empty if without it.
std::string_view liburing_version();

#ifdef ECHOBENCH_URING
/// probe_uring(), asked once in the life of the process: several threads make an engine each.
const UringFeatures& uring_features_here();
#endif

/// Makes the engine in this thread and calls run(engine), whose result it returns.
template <class Run>
auto with_engine(Backend backend, Nanos spin, Run&& run) {
#ifdef ECHOBENCH_URING
  if (backend == Backend::kUring) {
    UringEngine io(spin, uring_features_here());
    return run(io);
  }
#else
  if (backend == Backend::kUring) {
    throw BackendUnavailable("io_uring is not in this build: liburing was not found");
  }
#endif
  EpollEngine io(spin);
  return run(io);
}

}  // namespace net
