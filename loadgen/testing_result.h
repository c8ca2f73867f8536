// The result of a run that went well, for the tests of what is made of results.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "loadgen/histogram.h"
#include "loadgen/ranks.h"
#include "loadgen/result.h"

namespace loadgen {

/// 1 us, 2 us ... so many.
inline Histogram microseconds(std::int64_t count) {
  Histogram histogram;
  for (std::int64_t i = 1; i <= count; ++i) histogram.record(i * 1000);
  return histogram;
}

/// Two connections, 100,000 messages of 64 bytes in 2 s, a server of 4 threads on this machine.
inline Result good_result() {
  Result result;
  result.options.target = net::Address::resolve("127.0.0.1", 8888);
  result.options.connections = 2;
  result.options.duration = 2 * net::kSecond;
  result.started_at = std::chrono::system_clock::from_time_t(1'700'000'000);
  result.elapsed = 2 * net::kSecond;
  result.tally.connections_opened = 2;
  result.tally.answered_in_window = 100'000;
  result.tally.sent = 100'001;
  result.tally.bytes_sent = 6'400'000;
  result.tally.bytes_received = 6'400'064;
  result.tally.latency = microseconds(100'000);
  result.tally.stamp_error = microseconds(3);
  result.client = {.time = net::kSecond, .elapsed = 2 * net::kSecond};
  result.server = ServerUse{.pid = 4711,
                            .command = "echo-server",
                            .threads = 4,
                            .cpu = {.time = net::kSecond / 2, .elapsed = 2 * net::kSecond}};
  result.steal_fraction = 0.0;
  result.usable_cpus = 2;
  result.tally.busy = 0.6;
  for (Tenths::Part& part : result.tally.tenths.parts) part = {10'000, 10'000 * 50'000'000LL};
  return result;
}

/// Three ranks on two hosts: a good one, one that was stopped for a while, one that was lost.
inline Result total_of_ranks() {
  std::vector<Rank> ranks(3);
  for (Rank& rank : ranks) {
    rank.host = "bert";
    rank.own = good_result();
  }
  ranks[0].host = "anna";
  ranks[1].clock_offset = -2 * net::kSecond;
  ranks[1].clock_error = 15 * net::kMicrosecond;
  ranks[1].own.tally.stalled = ranks[1].own.tally.longest_stall = net::kSecond / 4;
  ranks[2].lost = true;
  ranks[2].own = {};
  ranks[2].own.options = good_result().options;
  Options asked = good_result().options;
  asked.connections = 6;
  return total_of(std::move(ranks), asked);
}

}  // namespace loadgen
