// The backends and the one place where one of them is chosen: a new one is a file in net/, a name
// in `Backend` and a line in `Backends`.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "net/blocking_engine.h"
#include "net/clock.h"
#include "net/epoll_engine.h"
#include "net/poll_engine.h"
#ifdef ECHOBENCH_URING
#include "net/uring_engine.h"
#endif

namespace net {

#ifndef ECHOBENCH_URING
/// What stands for it in a build without liburing.
class UringEngine {
 public:
  static constexpr const char* kName = "io_uring";
  explicit UringEngine(Nanos) {
    throw BackendUnavailable("io_uring is not in this build: liburing was not found");
  }
};
#endif

enum class Backend { kEpoll, kUring, kPoll, kBlocking };

template <Backend kId, class Engine>
struct Choice {
  static constexpr Backend kBackend = kId;
  using IO = Engine;
};

using Backends = std::tuple<Choice<Backend::kEpoll, EpollEngine>,  //
                            Choice<Backend::kUring, UringEngine>,  //
                            Choice<Backend::kPoll, PollEngine>,    //
                            Choice<Backend::kBlocking, BlockingEngine>>;

/// "epoll", "io_uring": as in the line `listening on 127.0.0.1:8888 (epoll)`.
std::string_view name_of(Backend backend);

/// The backend of that name, if there is one.
std::optional<Backend> backend_named(std::string_view name);

/// io_uring where it works here, else epoll; `why_not` then says why.
Backend best_backend(std::string& why_not);

/// The version of liburing this was built with; empty if without it.
std::string_view liburing_version();

#ifdef ECHOBENCH_URING
/// probe_uring(), asked once in the life of the process: several threads make an engine each.
const UringFeatures& uring_features_here();
#endif

/// What an engine may be used for beyond what it does itself. Of a ring, that is all of the kernel;
/// the others have nothing that could be refused.
enum class Use { kAny, kOwn };

template <class IO>
IO make_engine(Nanos spin, [[maybe_unused]] Use use) {
#ifdef ECHOBENCH_URING
  if constexpr (std::same_as<IO, UringEngine>) {
    UringFeatures features = uring_features_here();
    features.restricted = use == Use::kOwn;
    return IO(spin, features);
  }
#endif
  return IO(spin);
}

/// Makes the engine in this thread and calls run(engine), whose result it returns. A `run` that
/// asks for a whole net::Engine can't have one that is less: BackendUnavailable.
template <std::size_t kIndex = 0, class Run>
std::invoke_result_t<Run&, EpollEngine&> with_engine(Backend backend, Nanos spin, Run&& run,
                                                     Use use = Use::kAny) {
  using Choice = std::tuple_element_t<kIndex, Backends>;
  using IO = typename Choice::IO;
  if (backend == Choice::kBackend) {
    [[maybe_unused]] IO io = make_engine<IO>(spin, use);
    if constexpr (std::invocable<Run&, IO&>) return run(io);
    throw BackendUnavailable(std::string(IO::kName) + " can do no more than answer");
  }
  if constexpr (kIndex + 1 < std::tuple_size_v<Backends>) {
    return with_engine<kIndex + 1>(backend, spin, run, use);
  }
  throw std::logic_error("a backend without an engine");
}

}  // namespace net
