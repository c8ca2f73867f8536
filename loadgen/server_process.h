// The server under test as the kernel sees it: which local process it is and what CPU time it
// takes. Found by its listening socket, so it works with any server in any language.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/clock.h"

namespace loadgen {

/// The processes that hold the socket which listens on an address: one, or several where the server
/// forked workers or its workers share the address (SO_REUSEPORT); all of them count. Workers that
/// it forks after find() do not. For one thread: a reading updates what the next falls back on.
class ServerProcess {
 public:
  /// nullopt where nothing listens, the target is not an address of this machine, or the process
  /// can't be seen: another user's /proc/PID/fd, another network namespace. Never throws for that.
  /// Costs a walk over every process's descriptors, some milliseconds: call it outside the window.
  static std::optional<ServerProcess> find(const net::Address& target);

  /// The first of them by start time, so a worker's parent rather than the worker.
  int pid() const { return processes_.front().pid; }

  /// The program's name without its path and arguments, in printable ASCII.
  const std::string& command() const { return command_; }

  /// How many threads they have now. A process that has gone counts with its last reading.
  int threads() const;

  /// CPU time that they have taken since they started: user and system, all threads, ended ones and
  /// io_uring's kernel workers included. Of a process that has gone, the last reading, so that the
  /// sum never falls. Resolution: 1 ns in the kernel's books, which it updates at each switch and
  /// at each tick (1 to 10 ms) for a thread that is running.
  net::Nanos cpu_time() const;

  /// What of it the kernel's io_uring threads took that live now: io-wq workers (named iou-wrk-PID)
  /// and submission pollers (iou-sqp-PID), which since Linux 5.12 are threads of the process.
  net::Nanos helper_cpu_time() const;

  /// The CPUs that its threads may run on (sched_getaffinity(2)).
  std::set<int> cpus() const;

 private:
  struct Process {
    pid_t pid = 0;
    std::uint64_t started = 0;  // ticks after boot; with it a reused pid is not mistaken for this
    int threads = 0;
    net::Nanos cpu_time = 0;
  };

  static std::optional<Process> open(pid_t pid);
  static void refresh(Process& process);

  ServerProcess(std::vector<Process> processes, std::string command);

  mutable std::vector<Process> processes_;
  std::string command_;
};

}  // namespace loadgen
