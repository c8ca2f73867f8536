// One message through each engine, over real loopback connections, with handlers as small as they
// come. An iteration is the same echo as in floor_bench.cc, and what it costs above the floor is
// the engine.
//
// On one core both ends share one engine in one thread, so that no wake-up is in it; on two each
// has its engine in its thread, and spins before it sleeps as the programs do (--busy-poll=auto).
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "bench/exchange.h"
#include "net/address.h"
#include "net/backend.h"
#include "net/busy_poll.h"
#include "net/engine.h"
#include "net/fd.h"
#include "net/socket.h"

namespace bench {
namespace {

using net::Backend;
using net::Bytes;
using net::ConnId;

/// A server at its barest.
template <net::Engine IO>
class Echo {
 public:
  bool sent_only_asks_for_more() const { return true; }

  std::size_t closed() const { return closed_; }

  void on_open(IO& io, ConnId c) { io.recv(c); }
  void on_recv(IO& io, ConnId c, Bytes bytes) { bytes.empty() ? io.close(c) : io.send(c, bytes); }
  void on_sent(IO& io, ConnId c) { io.recv(c); }
  void on_close(IO&, ConnId, int) { ++closed_; }
  void on_wake(IO&) {}

 private:
  std::size_t closed_ = 0;
};

/// A client, for the connections that were connected here; those that were accepted echo.
template <net::Engine IO>
class Exchange {
 public:
  explicit Exchange(std::size_t message_size) : message_(message_size) {}

  /// `address` must live until the connections are open.
  void connect(IO& io, const net::Address& address, std::size_t connections) {
    asking_ = connections;
    for (std::size_t i = 0; i < connections; ++i) end(io.connect(address)).asks = true;
  }

  /// When all are open, the first messages go.
  bool started() const { return opened_ == asking_; }
  std::uint64_t answered() const { return answered_; }

  void on_open(IO& io, ConnId c) {
    io.recv(c);
    End& e = end(c);
    e.id = c;
    if (!e.asks || ++opened_ < asking_) return;
    for (End& other : ends_) {
      if (other.asks) ask(io, other);
    }
  }

  void on_recv(IO& io, ConnId c, Bytes bytes) {
    End& e = end(c);
    if (!e.asks) return echo_.on_recv(io, c, bytes);
    e.missing -= bytes.size();
    if (e.missing == 0) {
      ++answered_;
      ask(io, e);
    }
    io.recv(c);
  }

  void on_sent(IO& io, ConnId c) {
    End& e = end(c);
    if (!e.asks) return echo_.on_sent(io, c);
    e.sending = false;
    if (e.missing == 0) ask(io, e);
  }

  void on_close(IO&, ConnId, int error) {
    throw std::system_error(error, std::generic_category(), "a connection ended early");
  }

  void on_wake(IO&) {}

 private:
  struct End {
    ConnId id;
    bool asks = false;
    bool sending = false;
    std::size_t missing = 0;  // of the reply
  };

  End& end(ConnId c) {
    if (c.slot >= ends_.size()) ends_.resize(c.slot + 1);
    return ends_[c.slot];
  }

  /// The reply may be complete before the engine says that the question has gone.
  void ask(IO& io, End& e) {
    if (e.sending) return;
    e.sending = true;
    e.missing = message_.size();
    io.send(e.id, message_);
  }

  const std::vector<std::byte> message_;
  Echo<IO> echo_;
  std::vector<End> ends_;  // by the slot of their ConnId
  std::size_t asking_ = 0;
  std::size_t opened_ = 0;
  std::uint64_t answered_ = 0;
};

/// An engine that cannot accept tries again later, and would measure fewer connections meanwhile.
template <class IO, class H>
void step(IO& io, H& handler) {
  io.poll(handler, net::kNever);
  if (io.counters().accept_failures == 0) return;
  throw std::system_error(io.counters().last_accept_errno, std::generic_category(), "accept");
}

/// Connects, and then an iteration is an echo.
template <net::Engine IO>
void run_client(benchmark::State& state, IO& io, const net::Address& address, bool splits) {
  const Shape shape = Shape::of(state);
  Exchange<IO> exchange(shape.bytes);
  exchange.connect(io, address, shape.connections);
  while (!exchange.started()) step(io, exchange);
  std::uint64_t wanted = exchange.answered();
  const CpuSplit split;
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(shape.connections))) {
    wanted += shape.connections;
    while (exchange.answered() < wanted) step(io, exchange);
  }
  if (splits) split.report(state);
  state.SetLabel(io.description());
}

/// Makes the engine in a new thread, and runs the benchmark with it.
template <class Run>
void with_engine_or_skip(benchmark::State& state, Backend backend, net::Nanos spin, Run&& run) {
  try {
    in_client_thread([&] { net::with_engine(backend, spin, std::forward<Run>(run)); });
  } catch (const net::BackendUnavailable& unavailable) {
    state.SkipWithError(unavailable.what());
  }
}

// ---- one core

template <Backend kBackend>
void engine_one_core(benchmark::State& state) {
  with_engine_or_skip(state, kBackend, 0, [&](net::Engine auto& io) {
    net::Fd listener = net::listen_on(any_loopback_port(), 4096);
    const net::Address address = net::Address::of_socket(listener.get());
    io.listen(std::move(listener));
    run_client(state, io, address, true);
  });
}
BENCHMARK(engine_one_core<Backend::kEpoll>)->Name("epoll/one_core")->Apply(one_core);
BENCHMARK(engine_one_core<Backend::kUring>)->Name("io_uring/one_core")->Apply(one_core);

// ---- two cores

/// Until all connections have been closed by their peer.
template <class IO>
void serve(net::Nanos spin, net::Fd listener, std::size_t connections) {
  pin_server();
  IO io(spin);
  Echo<IO> echo;
  io.listen(std::move(listener));
  while (echo.closed() < connections) step(io, echo);
}

template <Backend kBackend>
void engine_two_cores(benchmark::State& state) {
  const int cpus = net::usable_cpus();
  if (cpus < 2) return state.SkipWithError("needs two CPUs");
  const net::Nanos spin = net::BusyPoll::automatic().spin(cpus, 1);
  std::jthread server;  // is joined when the client's engine, and so every connection, is closed
  with_engine_or_skip(state, kBackend, spin, [&](net::Engine auto& io) {
    using IO = std::remove_reference_t<decltype(io)>;
    net::Fd listener = net::listen_on(any_loopback_port(), 4096);
    const net::Address address = net::Address::of_socket(listener.get());
    server = std::jthread(serve<IO>, spin, std::move(listener), Shape::of(state).connections);
    run_client(state, io, address, false);
  });
}
BENCHMARK(engine_two_cores<Backend::kEpoll>)->Name("epoll/two_cores")->Apply(two_cores);
BENCHMARK(engine_two_cores<Backend::kUring>)->Name("io_uring/two_cores")->Apply(two_cores);

}  // namespace
}  // namespace bench
