#include "loadgen/server_process.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <memory>
#include <set>
#include <sstream>
#include <string_view>
#include <tuple>
#include <utility>

#include "loadgen/host_cpu.h"
#include "loadgen/kernel_text.h"
#include "loadgen/listening_sockets.h"

namespace loadgen {
namespace {

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

Directory open_directory(const std::string& path) {
  return Directory(::opendir(path.c_str()), &::closedir);
}

std::string proc_path(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

/// The entries that are numbers: processes in /proc, threads in /proc/PID/task.
std::vector<pid_t> numbers_in(const std::string& path) {
  std::vector<pid_t> pids;
  const Directory proc = open_directory(path);
  while (const dirent* entry = proc ? ::readdir(proc.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && rest == name.data() + name.size()) pids.push_back(pid);
  }
  return pids;
}

bool holds_one_of(pid_t pid, const std::set<std::string>& sockets) {
  const Directory fds = open_directory(proc_path(pid, "fd"));
  while (const dirent* entry = fds ? ::readdir(fds.get()) : nullptr) {
    char link[64];
    const ssize_t size = ::readlinkat(::dirfd(fds.get()), entry->d_name, link, sizeof link);
    if (size > 0 && sockets.contains(std::string(link, static_cast<std::size_t>(size)))) {
      return true;
    }
  }
  return false;
}

std::string kernel_name_of(pid_t pid) {
  return std::string(trimmed(read_kernel_text(proc_path(pid, "comm")).value_or("?")));
}

/// systemd keeps a copy of the sockets that it hands to services (systemd.socket(5)): it counts
/// only where no service has taken over.
std::vector<pid_t> holders_of(const std::set<std::string>& sockets) {
  std::vector<pid_t> servers;
  std::vector<pid_t> managers;
  for (const pid_t pid : numbers_in("/proc")) {
    if (!holds_one_of(pid, sockets)) continue;
    (kernel_name_of(pid) == "systemd" ? managers : servers).push_back(pid);
  }
  return servers.empty() ? managers : servers;
}

struct ProcStat {
  char state = '?';
  int threads = 0;
  std::uint64_t started = 0;
  net::Nanos cpu_time = 0;  // in steps of a clock tick
};

std::optional<ProcStat> read_stat(pid_t pid) {
  const auto text = read_kernel_text(proc_path(pid, "stat"));
  // The name, in parentheses, may hold blanks and parentheses itself.
  const std::size_t name_end = text ? text->rfind(')') : std::string::npos;
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text->substr(name_end + 1));
  ProcStat stat;
  std::int64_t utime = 0;
  std::int64_t stime = 0;
  std::string skipped;
  const auto skip = [&](int count) {
    while (count-- > 0) fields >> skipped;
  };
  fields >> stat.state;
  skip(10);  // to utime, field 14 of proc(5)
  fields >> utime >> stime;
  skip(4);  // to num_threads, field 20
  fields >> stat.threads;
  skip(1);  // to starttime, field 22
  fields >> stat.started;
  if (!fields) return std::nullopt;
  stat.cpu_time = (utime + stime) * (net::kSecond / ::sysconf(_SC_CLK_TCK));
  return stat;
}

/// Needs no permission, and still answers for a zombie.
std::optional<net::Nanos> read_cpu_clock(pid_t pid) {
  clockid_t clock;
  timespec t;
  if (::clock_getcpuclockid(pid, &clock) != 0) return std::nullopt;
  if (::clock_gettime(clock, &t) != 0) return std::nullopt;
  return t.tv_sec * net::kSecond + t.tv_nsec;
}

/// argv[0], as the name that the kernel keeps is cut at 15 bytes and may be a thread's own.
std::string command_of(pid_t pid) {
  const std::string arguments = read_kernel_text(proc_path(pid, "cmdline")).value_or("");
  std::string_view name = std::string_view(arguments).substr(0, arguments.find('\0'));
  name.remove_prefix(name.rfind('/') + 1);
  const std::string kernel_name = kernel_name_of(pid);
  if (trimmed(name).empty()) name = kernel_name;
  constexpr std::size_t kLongest = 64;
  return printable(trimmed(name).substr(0, kLongest));
}

}  // namespace

std::optional<ServerProcess> ServerProcess::find(const net::Address& target) {
  const std::set<std::string> sockets = listening_sockets(target);
  if (sockets.empty()) return std::nullopt;
  std::vector<Process> processes;
  for (const pid_t pid : holders_of(sockets)) {
    if (const auto process = open(pid)) processes.push_back(*process);
  }
  if (processes.empty()) return std::nullopt;
  std::sort(processes.begin(), processes.end(), [](const Process& a, const Process& b) {
    return std::tie(a.started, a.pid) < std::tie(b.started, b.pid);
  });
  std::string command = command_of(processes.front().pid);
  return ServerProcess(std::move(processes), std::move(command));
}

ServerProcess::ServerProcess(std::vector<Process> processes, std::string command)
    : processes_(std::move(processes)), command_(std::move(command)) {}

std::optional<ServerProcess::Process> ServerProcess::open(pid_t pid) {
  const auto stat = read_stat(pid);
  if (!stat) return std::nullopt;
  Process process;
  process.pid = pid;
  process.started = stat->started;
  process.threads = stat->threads;
  refresh(process);
  return process;
}

void ServerProcess::refresh(Process& process) {
  // The clock first: if the process is still the same after it, the clock was its own.
  const auto clock = read_cpu_clock(process.pid);
  const auto stat = read_stat(process.pid);
  if (!stat || stat->started != process.started) return;
  process.cpu_time = std::max(process.cpu_time, clock.value_or(stat->cpu_time));
  // A zombie's stat counts the zombie, unless other threads outlived the first.
  const bool ended = stat->state == 'Z' && stat->threads <= 1;
  if (!ended) process.threads = stat->threads;
}

int ServerProcess::threads() const {
  int sum = 0;
  for (Process& process : processes_) {
    refresh(process);
    sum += process.threads;
  }
  return sum;
}

net::Nanos ServerProcess::helper_cpu_time() const {
  net::Nanos sum = 0;
  for (const Process& process : processes_) {
    for (const pid_t thread : numbers_in(proc_path(process.pid, "task"))) {
      const std::string task = proc_path(process.pid, "task/") + std::to_string(thread);
      if (!read_kernel_text(task + "/comm").value_or("").starts_with("iou-")) continue;
      std::istringstream schedstat(read_kernel_text(task + "/schedstat").value_or(""));
      net::Nanos time = 0;
      if (schedstat >> time) sum += time;
    }
  }
  return sum;
}

std::set<int> ServerProcess::cpus() const {
  std::set<int> cpus;
  for (const Process& process : processes_) {
    for (const pid_t thread : numbers_in(proc_path(process.pid, "task"))) {
      cpus.merge(allowed_cpus(thread));
    }
  }
  return cpus;
}

net::Nanos ServerProcess::cpu_time() const {
  net::Nanos sum = 0;
  for (Process& process : processes_) {
    refresh(process);
    sum += process.cpu_time;
  }
  return sum;
}

}  // namespace loadgen
