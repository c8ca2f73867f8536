#include "bench/exchange.h"

#include <sched.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "net/busy_poll.h"

namespace bench {
namespace {

cpu_set_t allowed_cpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
  }
  return set;
}

// Asked for before any thread is bound to one of them.
const cpu_set_t kCpus = allowed_cpus();

bool has_cpu(int cpu) { return CPU_ISSET(static_cast<unsigned>(cpu), &kCpus); }

int first_cpu() {
  int cpu = 0;
  while (!has_cpu(cpu)) ++cpu;
  return cpu;
}

int last_cpu() {
  int cpu = CPU_SETSIZE - 1;
  while (!has_cpu(cpu)) --cpu;
  return cpu;
}

double nanoseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
}

rusage usage_of_thread() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage;
}

benchmark::Counter per_iteration(double value) {
  return {value, benchmark::Counter::kAvgIterations};
}

}  // namespace

// 64 B is what loadgen sends by default, 4 KiB no longer fits io_uring's small buffers, 64 KiB is
// what both engines receive at most at once.
void one_core(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"bytes", "connections"});
  for (const std::int64_t connections : {1, 64, 500}) benchmark->Args({64, connections});
  for (const std::int64_t connections : {1, 64}) benchmark->Args({4 * 1024, connections});
  for (const std::int64_t connections : {1, 64}) benchmark->Args({64 * 1024, connections});
}

void two_cores(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"bytes", "connections"})->UseRealTime()->MeasureProcessCPUTime();
  for (const std::int64_t connections : {1, 500}) benchmark->Args({64, connections});
  for (const std::int64_t connections : {1, 64}) benchmark->Args({64 * 1024, connections});
}

net::Address any_loopback_port() { return net::Address::resolve("127.0.0.1", 0); }

void pin_client() { net::pin_to_cpu(last_cpu()); }
void pin_server() { net::pin_to_cpu(first_cpu()); }

CpuSplit::CpuSplit() {
  const rusage usage = usage_of_thread();
  user_ns_ = nanoseconds(usage.ru_utime);
  sys_ns_ = nanoseconds(usage.ru_stime);
}

void CpuSplit::report(benchmark::State& state) const {
  const rusage usage = usage_of_thread();
  state.counters["user_ns"] = per_iteration(nanoseconds(usage.ru_utime) - user_ns_);
  state.counters["sys_ns"] = per_iteration(nanoseconds(usage.ru_stime) - sys_ns_);
}

}  // namespace bench
