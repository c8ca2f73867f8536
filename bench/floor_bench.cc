// The floor: the system calls that an echo cannot do without, and nothing else. No event loop, no
// readiness notification, no table of connections: both ends take the connections in turn, for the
// next message is known to be there, or to come. The same as two programs, to stand in experiments
// beside servers: bench/floor.
//
// What it is: the cost of the kernel's TCP over the loopback, as send(2) and recv(2) show it. What
// an engine takes longer is its own cost: its user space, and how it learns what is ready.
//
// What it is not: a server, since it must know the order in which messages come. Nor a lower bound
// for every design: io_uring makes the same sends and receives without a system call for each, and
// may go below it. And on two cores the blocking variant pays for a sleep wherever one end is
// faster than the other; the spinning one never sleeps, it spends system calls on looking again.
#include <benchmark/benchmark.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <thread>
#include <vector>

#include "bench/exchange.h"
#include "bench/floor/in_turn.h"
#include "net/address.h"
#include "net/busy_poll.h"
#include "net/clock.h"
#include "net/engine.h"
#include "net/fd.h"
#include "net/socket.h"

namespace bench {
namespace {

/// The two ends of a connection.
struct Pair {
  net::Fd client;
  net::Fd server;
};

std::vector<Pair> connect_pairs(std::size_t count) {
  const net::Fd listener = net::listen_on(any_loopback_port(), 128);
  const net::Address address = net::Address::of_socket(listener.get());
  std::vector<Pair> pairs(count);
  for (Pair& pair : pairs) {
    pair.client = net::socket_for(address, net::Mode::kBlocking);
    if (!pair.client) fail("socket");
    if (::connect(pair.client.get(), address.data(), address.size()) != 0) fail("connect");
    pair.server = net::Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!pair.server) fail("accept4");
    limit_waiting(pair.client.get());
    limit_waiting(pair.server.get());
  }
  return pairs;
}

// ---- one core: both ends in one thread, which never waits

/// `compute()` stands for what a server might do with a message; it returns how long it took.
template <class Compute>
net::Nanos exchange_on_one_core(benchmark::State& state, Compute compute) {
  const Shape shape = Shape::of(state);
  const std::vector<Pair> pairs = connect_pairs(shape.connections);
  const std::vector<std::byte> message(shape.bytes);
  std::vector<std::byte> buffer(shape.bytes);
  net::Nanos computed = 0;
  for (const Pair& pair : pairs) send_all(pair.client, message);
  const CpuSplit split;
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(shape.connections))) {
    for (const Pair& pair : pairs) {
      computed += compute();
      echo<Waiting::kBlocking>(pair.server, buffer);
    }
    for (const Pair& pair : pairs) {
      await_reply<Waiting::kBlocking>(pair.client, buffer);
      send_all(pair.client, message);
    }
  }
  split.report(state);
  return computed;
}

void floor_one_core(benchmark::State& state) {
  in_client_thread([&] { exchange_on_one_core(state, [] { return net::Nanos{0}; }); });
}
BENCHMARK(floor_one_core)->Name("floor/one_core")->Apply(one_core);

// A server that computes for a microsecond, in user space: by so much must user_ns be above that of
// floor/one_core, or the split of the CPU time cannot be trusted here.
void floor_one_core_computing(benchmark::State& state) {
  net::Nanos computed = 0;
  const auto compute = [] {
    const net::Nanos begin = net::now();
    net::Nanos end = begin;
    while (end < begin + net::kMicrosecond) end = net::now();
    return std::min(end - begin, 2 * net::kMicrosecond);  // longer: another thread had the CPU
  };
  in_client_thread([&] { computed = exchange_on_one_core(state, compute); });
  state.counters["computed_ns"] = {static_cast<double>(computed),
                                   benchmark::Counter::kAvgIterations};
}
BENCHMARK(floor_one_core_computing)
    ->Name("floor/one_core_computing")
    ->ArgNames({"bytes", "connections"})
    ->Args({64, 500});

// ---- two cores: the server in a thread of its own

template <Waiting kWaiting>
void serve(const std::vector<Pair>& pairs, std::size_t message_size) {
  pin_server();
  std::vector<std::byte> buffer(message_size);
  for (;;) {
    for (const Pair& pair : pairs) {
      if (!echo<kWaiting>(pair.server, buffer)) return;
    }
  }
}

/// Ends the server, which waits for each connection in its turn.
class ShutdownAtExit {
 public:
  explicit ShutdownAtExit(const std::vector<Pair>& pairs) : pairs_(pairs) {}
  ~ShutdownAtExit() {
    for (const Pair& pair : pairs_) ::shutdown(pair.client.get(), SHUT_WR);
  }
  ShutdownAtExit(const ShutdownAtExit&) = delete;
  ShutdownAtExit& operator=(const ShutdownAtExit&) = delete;

 private:
  const std::vector<Pair>& pairs_;
};

template <Waiting kWaiting>
void exchange_on_two_cores(benchmark::State& state) {
  const Shape shape = Shape::of(state);
  const std::vector<Pair> pairs = connect_pairs(shape.connections);
  const std::vector<std::byte> message(shape.bytes);
  std::vector<std::byte> buffer(shape.bytes);
  const std::jthread server(serve<kWaiting>, std::cref(pairs), shape.bytes);
  const ShutdownAtExit shutdown_at_exit(pairs);
  for (const Pair& pair : pairs) send_all(pair.client, message);
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(shape.connections))) {
    for (const Pair& pair : pairs) {
      await_reply<kWaiting>(pair.client, buffer);
      send_all(pair.client, message);
    }
  }
  for (const Pair& pair : pairs) await_reply<kWaiting>(pair.client, buffer);
}

template <Waiting kWaiting>
void floor_two_cores(benchmark::State& state) {
  if (net::usable_cpus() < 2) return state.SkipWithError("needs two CPUs");
  in_client_thread([&] { exchange_on_two_cores<kWaiting>(state); });
}
BENCHMARK(floor_two_cores<Waiting::kBlocking>)->Name("floor_blocking/two_cores")->Apply(two_cores);
BENCHMARK(floor_two_cores<Waiting::kSpinning>)->Name("floor_spinning/two_cores")->Apply(two_cores);

}  // namespace
}  // namespace bench
