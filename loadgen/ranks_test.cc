// The total of several processes is what one with all connections would have found: sums of counts,
// percentiles of merged histograms, and nothing averaged.
#include "loadgen/ranks.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "loadgen/testing_result.h"

namespace loadgen {
namespace {

Options asked() {
  Options options = good_result().options;
  options.connections = 4;
  options.threads = 3;
  return options;
}

std::vector<Rank> two_ranks() {
  std::vector<Rank> ranks(2);
  for (Rank& rank : ranks) rank.own = good_result();
  return ranks;
}

TEST(TotalOf, AddsWhatWasCounted) {
  auto ranks = two_ranks();
  ranks[1].own.tally.corrupt = 3;
  ranks[1].own.tally.errors["flipped"] = 3;
  const Result total = total_of(std::move(ranks), asked());
  EXPECT_EQ(total.tally.connections_opened, 4U);
  EXPECT_EQ(total.tally.answered_in_window, 200'000U);
  EXPECT_EQ(total.tally.errors.at("flipped"), 3U);
  EXPECT_EQ(total.messages_per_second(), 100'000.0);
  EXPECT_EQ(total.options.connections, 4U);
  EXPECT_EQ(total.options.threads, 6U) << "three in each of two";
  EXPECT_EQ(total.ranks.size(), 2U);
}

TEST(TotalOf, TakesPercentilesOfAllSamples) {
  auto ranks = two_ranks();
  ranks[0].own.tally.latency.clear();
  ranks[0].own.tally.latency.record(1'000, 98'000);
  ranks[1].own.tally.latency.clear();
  ranks[1].own.tally.latency.record(2'000'000, 2'000);
  const Result total = total_of(std::move(ranks), asked());
  EXPECT_EQ(total.latency().quantile(0.98), 1'000) << "the mean of their p98 would be 1 ms";
  EXPECT_EQ(total.latency().quantile(0.99), 2'000'000);
  EXPECT_EQ(total.tally.latency.min(), 1'000);
}

TEST(TotalOf, HasTheLongestWindowAndTheWorstMachine) {
  auto ranks = two_ranks();
  ranks[0].own.elapsed = 1'900 * net::kMillisecond;
  ranks[1].own.steal_fraction = 0.25;
  ranks[0].own.tally.busy = 0.1;
  const Result total = total_of(std::move(ranks), asked());
  EXPECT_EQ(total.elapsed, 2 * net::kSecond);
  EXPECT_EQ(total.steal_fraction, 0.25);
  EXPECT_EQ(total.tally.busy, 0.6);
  EXPECT_EQ(total.client.time, 2 * net::kSecond);
  EXPECT_EQ(total.client.utilisation(), 1.0) << "half a core in each of two";
}

TEST(TotalOf, CountsTheServerOnceThoughTwoSawIt) {
  auto ranks = two_ranks();
  ranks[0].own.server.reset();
  const Result total = total_of(std::move(ranks), asked());
  ASSERT_TRUE(total.server);
  EXPECT_EQ(total.server->cpu.time, net::kSecond / 2);
}

TEST(TotalOf, HasNothingOfALostOne) {
  auto ranks = two_ranks();
  ranks[1].lost = true;
  const Result total = total_of(std::move(ranks), asked());
  EXPECT_EQ(total.tally.answered_in_window, 100'000U);
  EXPECT_EQ(total.ranks.size(), 2U);
}

}  // namespace
}  // namespace loadgen
