// What the floor and the engines have in common, so that they can stand side by side in one table:
// the shape of the exchange, the CPUs it runs on, and the CPU time it takes.
//
// An iteration is an echo: one message there and one back, so two sends and two receives. Every
// connection has one message under way all the time, as in loadgen's closed loop.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <future>

#include "net/address.h"

namespace bench {

struct Shape {
  std::size_t bytes;  // of a message
  std::size_t connections;

  static Shape of(const benchmark::State& state) {
    return {static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1))};
  }
};

/// The shapes that are measured; both ends in one thread, or each on a CPU of its own.
void one_core(benchmark::internal::Benchmark* benchmark);
void two_cores(benchmark::internal::Benchmark* benchmark);

/// 127.0.0.1, a port that the kernel chooses.
net::Address any_loopback_port();

/// Bind the calling thread: the client to the last of the CPUs that the process was started with,
/// the server to the first, so that taskset(1) chooses both.
void pin_client();
void pin_server();

/// Runs a benchmark in a new thread on the client's CPU. What it throws comes through. (With more
/// than one thread, libc makes each call a cancellation point, pthread_cancel(3): some 20 ns of
/// user space that loadgen spends too and echo-server, with its one thread, does not.)
template <class Run>
void in_client_thread(Run&& run) {
  std::async(std::launch::async, [&run] {
    pin_client();
    run();
  }).get();
}

/// How the calling thread's CPU time divides into user space and kernel, from here to report().
///
/// Kernels without CONFIG_VIRT_CPU_ACCOUNTING_GEN (most) measure the sum exactly and divide it by
/// sampling: each timer tick (CONFIG_HZ, 250 a second, say) that meets the thread in user space
/// counts for user space. That is right on average and coarse: n ticks give a share p with a
/// standard error of sqrt(p (1 - p) / n), so half a minute gives one of half a percent of the
/// whole. floor/one_core_computing shows on each machine whether it holds.
///
/// The thread must be new: the division is that of its whole life, and never goes back, so what a
/// thread did before distorts what it does now (cputime_adjust in the kernel's sched/cputime.c).
class CpuSplit {
 public:
  CpuSplit();
  /// Adds the counters user_ns and sys_ns, per iteration.
  void report(benchmark::State& state) const;

 private:
  double user_ns_;
  double sys_ns_;
};

}  // namespace bench
