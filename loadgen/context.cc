#include "loadgen/context.h"

#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "loadgen/hypervisor.h"
#include "loadgen/kernel_text.h"

#ifndef ECHOBENCH_BUILD_TYPE
#define ECHOBENCH_BUILD_TYPE "unknown"
#endif
#ifndef ECHOBENCH_CXX_FLAGS
#define ECHOBENCH_CXX_FLAGS "unknown"
#endif

namespace loadgen {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::optional<std::string> from_uname(const char* text) {
  return *text == '\0' ? std::nullopt : std::optional(printable(text));
}

/// Most kernels say it in /proc/cpuinfo, each by its own name; arm64 gives two numbers there (Arm's
/// MIDR_EL1), and the board's name in the device tree where it has one.
std::optional<std::string> cpu_model(const std::string& root) {
  const std::string text = read_kernel_text(root + "/proc/cpuinfo").value_or("");
  for (const char* name : {"model name", "cpu model", "cpu", "uarch", "Hardware"}) {
    const auto model = value_of(text, name);
    if (model && !model->empty()) return printable(*model);
  }
  auto board = read_kernel_line(root + "/proc/device-tree/model");
  const auto implementer = value_of(text, "CPU implementer");
  const auto part = value_of(text, "CPU part");
  if (board || !implementer || !part) return board;
  return printable("implementer " + *implementer + " part " + *part);
}

std::optional<long> configured(int name) {
  const long value = ::sysconf(name);
  return value > 0 ? std::optional(value) : std::nullopt;
}

std::optional<std::vector<int>> cpu_affinity() {
  constexpr int kMostCpus = 8192;  // the largest NR_CPUS that x86 kernels can be built for
  const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(kMostCpus),
                                                             [](cpu_set_t* s) { CPU_FREE(s); });
  const std::size_t size = CPU_ALLOC_SIZE(kMostCpus);
  CPU_ZERO_S(size, set.get());
  if (::sched_getaffinity(0, size, set.get()) != 0) return std::nullopt;
  std::vector<int> cpus;
  for (int cpu = 0; cpu < kMostCpus; ++cpu) {
    if (CPU_ISSET_S(static_cast<std::size_t>(cpu), size, set.get())) cpus.push_back(cpu);
  }
  return cpus;
}

/// What a file with a number says: 0 is false, every other true.
std::optional<bool> flag(const std::string& path) {
  const auto text = read_kernel_line(path);
  if (!text || text->find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return text->find_first_not_of('0') != std::string::npos;
}

/// Whether a core may run faster than its nominal frequency, as long as it stays cool: intel_pstate
/// and acpi-cpufreq each have a file of their own for it.
std::optional<bool> turbo(const std::string& cpus) {
  if (const auto none = flag(cpus + "/intel_pstate/no_turbo")) return !*none;
  return flag(cpus + "/cpufreq/boost");
}

Json mitigations(const std::string& root) {
  const std::string path = root + "/sys/devices/system/cpu/vulnerabilities";
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
  std::map<std::string, std::string> by_name;
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
    const auto status = read_kernel_line(path + "/" + entry->d_name);
    if (status) by_name[printable(entry->d_name)] = *status;
  }
  return by_name.empty() ? Json(nullptr) : Json(by_name);
}

/// A number as a number, several ("4096 131072 33554432") as the text that they are.
Json sysctl(const std::string& root, std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  const auto text = read_kernel_line(root + "/proc/sys/" + name);
  if (!text) return nullptr;
  std::int64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), end, number);
  return error == std::errc() && rest == end ? Json(number) : Json(*text);
}

Json sysctls(const std::string& root) {
  Json values = Json::object();
  for (const char* name : {"net.core.somaxconn",
                           "net.core.rmem_max",
                           "net.core.wmem_max",
                           "net.core.busy_read",
                           "net.core.busy_poll",
                           "net.core.default_qdisc",
                           "net.core.netdev_budget",
                           "net.core.netdev_budget_usecs",
                           "net.core.rps_sock_flow_entries",
                           "net.ipv4.tcp_rmem",
                           "net.ipv4.tcp_wmem",
                           "net.ipv4.tcp_autocorking",
                           "net.ipv4.tcp_slow_start_after_idle",
                           "net.ipv4.tcp_max_syn_backlog",
                           "net.ipv4.tcp_syncookies",
                           "net.ipv4.tcp_fin_timeout",
                           "net.ipv4.ip_local_port_range",
                           "net.ipv4.tcp_tw_reuse",
                           "net.ipv4.tcp_max_tw_buckets",
                           "kernel.io_uring_disabled",
                           "kernel.nmi_watchdog",
                           "kernel.numa_balancing",
                           "kernel.sched_autogroup_enabled"}) {
    values[name] = sysctl(root, name);
  }
  return values;
}

std::string compiler() {
#if defined(__clang__)
  constexpr const char* kName = "clang ";
  const std::array<int, 3> version = {__clang_major__, __clang_minor__, __clang_patchlevel__};
#else
  constexpr const char* kName = "gcc ";
  const std::array<int, 3> version = {__GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__};
#endif
  return kName + std::to_string(version[0]) + '.' + std::to_string(version[1]) + '.' +
         std::to_string(version[2]);
}

std::optional<std::int64_t> memory_bytes() {
  const auto pages = configured(_SC_PHYS_PAGES);
  const auto page_size = configured(_SC_PAGESIZE);
  if (!pages || !page_size) return std::nullopt;
  return std::int64_t{*pages} * *page_size;
}

std::optional<std::uint64_t> nofile_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return std::nullopt;
  }
  return limit.rlim_cur;
}

std::optional<std::array<double, 3>> load_average() {
  std::array<double, 3> load{};
  return ::getloadavg(load.data(), 3) == 3 ? std::optional(load) : std::nullopt;
}

}  // namespace

Json collect_context(const std::string& root) {
  const std::string cpus = root + "/sys/devices/system/cpu";
  const std::string clock = root + "/sys/devices/system/clocksource/clocksource0";
  utsname name{};
  ::uname(&name);
  return {
      {"kernel", or_null(from_uname(name.release))},
      {"kernel_build", or_null(from_uname(name.version))},
      {"architecture", or_null(from_uname(name.machine))},
      {"cpu_model", or_null(cpu_model(root))},
      {"cpus", or_null(configured(_SC_NPROCESSORS_ONLN))},
      {"cpu_affinity", or_null(cpu_affinity())},
      {"governor", or_null(read_kernel_line(cpus + "/cpu0/cpufreq/scaling_governor"))},
      {"turbo", or_null(turbo(cpus))},
      {"smt", or_null(flag(cpus + "/smt/active"))},
      {"idle_driver", or_null(read_kernel_line(cpus + "/cpuidle/current_driver"))},
      {"mitigations", mitigations(root)},
      {"hypervisor", or_null(hypervisor(root))},
      {"memory_bytes", or_null(memory_bytes())},
      {"clocksource", or_null(read_kernel_line(clock + "/current_clocksource"))},
      {"loadavg", or_null(load_average())},
      {"nofile_limit", or_null(nofile_limit())},
      {"tcp_congestion_control", sysctl(root, "net.ipv4.tcp_congestion_control")},
      {"sysctls", sysctls(root)},
      {"compiler", compiler()},
      {"build_type", ECHOBENCH_BUILD_TYPE},
      {"compiler_flags", ECHOBENCH_CXX_FLAGS},
  };
}

}  // namespace loadgen
