// What a run found out: everything that results/schema.json describes, before it is written.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "loadgen/intervals.h"
#include "loadgen/options.h"
#include "loadgen/tally.h"
#include "net/backend.h"

namespace loadgen {

/// CPU time within the window.
struct CpuUse {
  net::Nanos time = 0;
  net::Nanos elapsed = 0;  // between the two readings

  double utilisation() const {
    return elapsed == 0 ? 0 : static_cast<double>(time) / static_cast<double>(elapsed);
  }
};

struct ServerUse {
  int pid = 0;
  std::string command;
  int threads = 0;
  CpuUse cpu;
};

struct Result {
  Options options;
  net::Backend backend = net::Backend::kEpoll;  // the one in use
  std::vector<std::string> uring_features;      // empty on epoll
  std::chrono::system_clock::time_point started_at;
  int signal = 0;  // that ended the run early; 0: none
  Tally tally;
  net::Nanos elapsed = 0;  // of the window
  std::vector<Interval> intervals;
  CpuUse client;
  std::optional<ServerUse> server;
  std::optional<double> steal_fraction;

  double messages_per_second() const {
    return elapsed == 0 ? 0
                        : static_cast<double>(tally.answered_in_window) * net::kSecond /
                              static_cast<double>(elapsed);
  }
  /// nullopt where nothing was answered.
  std::optional<double> per_message(const CpuUse& cpu) const {
    if (tally.answered_in_window == 0 || elapsed == 0) return std::nullopt;
    // With a number of messages, all that was used between the readings was used for them.
    const double used = options.messages ? static_cast<double>(cpu.time)
                                         : cpu.utilisation() * static_cast<double>(elapsed);
    return used / static_cast<double>(tally.answered_in_window);
  }
};

}  // namespace loadgen
