// What the CPUs did apart from the programs: the time that the hypervisor gave to others while this
// machine had work ("steal"), which is in every sample and in no program.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string_view>

#include "net/clock.h"

namespace loadgen {

/// All CPUs' time since boot, from the first line of /proc/stat (proc(5)), in clock ticks of 10 ms
/// each on most machines.
struct HostCpu {
  std::int64_t total_ticks = 0;  // guests are in it once: the kernel counts them as user as well
  std::int64_t steal_ticks = 0;

  /// nullopt where /proc/stat can't be read or has no steal column.
  static std::optional<HostCpu> sample();
  static std::optional<HostCpu> parse(std::string_view proc_stat);
};

/// Steal over the time of all CPUs between two samples, 0 to 1, idle time included. nullopt where a
/// sample is missing or no tick lies between them.
std::optional<double> steal_fraction(const std::optional<HostCpu>& before,
                                     const std::optional<HostCpu>& after);

/// How long this thread of the process was ready to run and another one ran in its place, since it
/// began (/proc/PID/task/TID/schedstat, Documentation/scheduler/sched-stats.rst). 0 where the
/// kernel does not say.
net::Nanos run_delay(pid_t thread);

/// The CPUs that a thread may run on (sched_getaffinity(2)); 0 is the calling one. Empty where it
/// has ended.
std::set<int> allowed_cpus(pid_t thread);

/// CPU time of the calling thread (CLOCK_THREAD_CPUTIME_ID).
net::Nanos thread_cpu_time() noexcept;

/// CPU time of this process: all its threads, ended ones included (CLOCK_PROCESS_CPUTIME_ID).
net::Nanos own_cpu_time() noexcept;

}  // namespace loadgen
