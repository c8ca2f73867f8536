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

/// Samples, and how many messages have none because they never ended: unanswered, wrong, or due and
/// never sent. Those count as longer than all others.
struct Distribution {
  const Histogram& samples;
  std::int64_t infinite = 0;

  std::optional<std::int64_t> quantile(double q) const {
    return samples.supported_quantile(q, infinite);
  }
  bool is_infinite(double q) const { return samples.is_infinite(q, infinite); }
};

struct ServerUse {
  int pid = 0;
  std::string command;
  int threads = 0;
  CpuUse cpu;
  net::Nanos helpers = 0;  // of that, what io_uring's kernel threads took
};

struct Rank;

struct Result {
  Options options;
  net::Backend backend = net::Backend::kEpoll;  // the one in use
  std::vector<std::string> uring_features;      // empty on epoll
  std::chrono::system_clock::time_point started_at;
  std::optional<SloReport> slo;  // the search in which this was a slice
  int signal = 0;                // that ended the run early; 0: none
  Tally tally;
  net::Nanos elapsed = 0;  // of the window
  std::vector<Interval> intervals;
  std::string hdr_log;  // the samples by interval (loadgen/hdr_log.h); empty: not asked for
  CpuUse client;
  std::optional<ServerUse> server;
  std::optional<double> steal_fraction;
  net::Nanos run_delay = 0;     // the workers were ready to run, and others ran in their place
  int usable_cpus = 1;          // by loadgen and the server together
  std::optional<int> only_cpu;  // on which both loadgen and the server must run
  std::vector<Rank> ranks;      // of which this is the total, where several made it together

  bool open_loop() const { return options.rate.has_value(); }

  /// Of a number of messages within the window.
  double per_second(std::uint64_t messages) const {
    return elapsed == 0
               ? 0
               : static_cast<double>(messages) * net::kSecond / static_cast<double>(elapsed);
  }
  double messages_per_second() const { return per_second(tally.answered_in_window); }

  /// From when a message was due. In a closed loop that is when it was sent: the loop asks for the
  /// next one when it has the last, so there is no schedule to be late for.
  Distribution latency() const {
    return {tally.latency,
            static_cast<std::int64_t>(tally.unanswered + tally.spoiled + tally.unsent)};
  }
  Distribution service() const {
    return {open_loop() ? tally.service : tally.latency,
            static_cast<std::int64_t>(tally.unanswered + tally.spoiled)};
  }
  /// Of an open loop.
  Distribution send_lag() const {
    return {tally.send_lag, static_cast<std::int64_t>(tally.unsent)};
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

/// One of the processes that make a run together (loadgen/ranks.h), and what it found by itself.
struct Rank {
  std::string host;
  net::Nanos clock_offset = 0;  // of its net::now() to the first one's, give or take
  net::Nanos clock_error = 0;   // this much
  net::Nanos late = 0;          // by which it missed the common start
  bool lost = false;            // nothing more was heard of it
  Result own;                   // of a lost one the options only
};

}  // namespace loadgen
