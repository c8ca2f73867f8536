#include "loadgen/host_cpu.h"

#include <sched.h>

#include <algorithm>
#include <ctime>
#include <sstream>
#include <string>

#include "loadgen/kernel_text.h"

namespace loadgen {

std::optional<HostCpu> HostCpu::sample() {
  const auto text = read_kernel_text("/proc/stat");
  return text ? parse(*text) : std::nullopt;
}

std::optional<HostCpu> HostCpu::parse(std::string_view proc_stat) {
  std::istringstream line(std::string(proc_stat.substr(0, proc_stat.find('\n'))));
  std::string name;
  HostCpu cpu;
  line >> name;
  // user nice system idle iowait irq softirq steal; guest and guest_nice, which follow, are in the
  // first two already.
  for (int column = 0; column < 8; ++column) {
    line >> cpu.steal_ticks;
    cpu.total_ticks += cpu.steal_ticks;
  }
  if (!line || name != "cpu") return std::nullopt;
  return cpu;
}

std::optional<double> steal_fraction(const std::optional<HostCpu>& before,
                                     const std::optional<HostCpu>& after) {
  if (!before || !after) return std::nullopt;
  const std::int64_t total = after->total_ticks - before->total_ticks;
  const std::int64_t steal = after->steal_ticks - before->steal_ticks;
  if (total <= 0) return std::nullopt;
  // proc(5): iowait may decrease, and with it the total.
  return std::clamp(static_cast<double>(steal) / static_cast<double>(total), 0.0, 1.0);
}

net::Nanos run_delay(pid_t thread) {
  const auto text = read_kernel_text("/proc/self/task/" + std::to_string(thread) + "/schedstat");
  std::istringstream fields(text.value_or(""));
  net::Nanos running = 0;
  net::Nanos delay = 0;
  fields >> running >> delay;
  return fields ? delay : 0;
}

std::set<int> allowed_cpus(pid_t thread) {
  std::set<int> cpus;
  cpu_set_t allowed;
  if (::sched_getaffinity(thread, sizeof allowed, &allowed) != 0) return cpus;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.insert(static_cast<int>(cpu));
  }
  return cpus;
}

net::Nanos thread_cpu_time() noexcept {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * net::kSecond + t.tv_nsec;
}

net::Nanos own_cpu_time() noexcept {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * net::kSecond + t.tv_nsec;
}

}  // namespace loadgen
