// The run in pieces: each interval is told when all workers have handed in their part, and none is
// lost whatever the workers' order.
#include "loadgen/intervals.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

namespace loadgen {
namespace {

using net::kSecond;

Histogram with(std::int64_t count, std::int64_t value = 1000) {
  Histogram histogram;
  histogram.record(value, count);
  return histogram;
}

TEST(IntervalLog, HasNoneAtFirst) {
  IntervalLog log(1);
  EXPECT_FALSE(log.newest());
  EXPECT_TRUE(log.all(kSecond).empty());
}

TEST(IntervalLog, OfOneWorkerIsToldAtOnce) {
  IntervalLog log(1);
  log.add(0, 0, kSecond, with(5));
  ASSERT_TRUE(log.newest());
  EXPECT_EQ(log.newest()->messages, 5);
  EXPECT_EQ(log.newest()->end, kSecond);
}

TEST(IntervalLog, WaitsForAllWorkers) {
  IntervalLog log(3);
  log.add(0, 0, kSecond, with(1));
  log.add(1, 0, kSecond, with(2));
  EXPECT_FALSE(log.newest());
  log.add(2, 0, kSecond, with(4));
  ASSERT_TRUE(log.newest());
  EXPECT_EQ(log.newest()->messages, 7);
}

TEST(IntervalLog, SummarisesAllParts) {
  IntervalLog log(2);
  log.add(0, 0, kSecond, with(1500, 1000));
  log.add(1, 0, kSecond, with(500, 2000));
  const auto interval = log.newest();
  ASSERT_TRUE(interval);
  EXPECT_EQ(interval->p50, 1000);
  EXPECT_EQ(interval->p99, 2000);
  EXPECT_EQ(interval->max, 2000);
}

TEST(IntervalLog, TellsNoPercentileThatTheSampleCannotSupport) {
  IntervalLog log(1);
  log.add(0, 0, kSecond, with(20));
  EXPECT_TRUE(log.newest()->p50);
  EXPECT_FALSE(log.newest()->p99);
  log.add(0, 1, 2 * kSecond, Histogram());
  EXPECT_FALSE(log.newest()->p50 || log.newest()->max);
}

TEST(IntervalLog, EndsWithItsLastPart) {
  IntervalLog log(2);
  log.add(0, 0, kSecond, with(1));
  log.add(1, 0, kSecond / 2, with(1));
  EXPECT_EQ(log.newest()->end, kSecond);
}

TEST(IntervalLog, NewestIsTheLastThatIsComplete) {
  IntervalLog log(2);
  log.add(0, 0, 1 * kSecond, with(1));
  log.add(0, 1, 2 * kSecond, with(2));
  log.add(0, 2, 3 * kSecond, with(3));
  log.add(1, 0, 1 * kSecond, with(10));
  EXPECT_EQ(log.newest()->messages, 11);
  log.add(1, 1, 2 * kSecond, with(20));
  EXPECT_EQ(log.newest()->messages, 22);
}

TEST(IntervalLog, AWorkerThatHasLeftIsNotWaitedFor) {
  IntervalLog log(2);
  log.add(0, 0, 1 * kSecond, with(1));
  log.add(1, 0, 1 * kSecond, with(2));
  log.add(0, 1, 2 * kSecond, with(4));
  EXPECT_EQ(log.newest()->messages, 3);
  log.leave(1);
  EXPECT_EQ(log.newest()->messages, 4);
}

TEST(IntervalLog, KeepsThePartOfAWorkerThatHasLeft) {
  IntervalLog log(2);
  log.add(0, 0, kSecond, with(1));
  log.leave(0);
  log.add(1, 0, kSecond, with(2));
  const auto all = log.all(kSecond);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].messages, 3);
}

TEST(IntervalLog, AllHasThoseThatNobodyHandedIn) {
  IntervalLog log(1);
  log.add(0, 0, 1 * kSecond, with(1));
  log.add(0, 3, 4 * kSecond, with(8));
  const auto all = log.all(kSecond);
  ASSERT_EQ(all.size(), 4U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].end, static_cast<net::Nanos>(i + 1) * kSecond);
  }
  EXPECT_EQ(all[1].messages + all[2].messages, 0);
  EXPECT_FALSE(all[1].p50 || all[1].max);
  EXPECT_EQ(all[3].messages, 8);
}

TEST(IntervalLog, AllHasThoseThatAreNotComplete) {
  IntervalLog log(2);
  log.add(0, 0, 1 * kSecond, with(1));
  log.add(1, 0, 1 * kSecond, with(1));
  log.add(0, 1, kSecond + kSecond / 3, with(5));
  const auto all = log.all(kSecond);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].messages, 5);
  EXPECT_EQ(all[1].end, kSecond + kSecond / 3);
}

TEST(IntervalLog, LosesNothingWhereManyThreadsHandIn) {
  constexpr std::size_t kWorkers = 8;
  constexpr net::Nanos kIntervals = 50;
  IntervalLog log(kWorkers);
  std::vector<std::thread> workers;
  workers.reserve(kWorkers);
  for (std::size_t worker = 0; worker < kWorkers; ++worker) {
    workers.emplace_back([&log, worker] {
      const Histogram part = with(static_cast<std::int64_t>(worker + 1));
      for (net::Nanos i = 0; i < kIntervals; ++i) {
        log.add(worker, static_cast<std::size_t>(i), (i + 1) * kSecond, part);
      }
    });
  }
  std::optional<Interval> newest;
  while (!newest || newest->end < kIntervals * kSecond) {
    newest = log.newest();
    if (newest) {
      EXPECT_EQ(newest->messages, 36);  // 1 + 2 + ... + 8
    }
  }
  for (std::thread& worker : workers) worker.join();
  const auto all = log.all(kSecond);
  ASSERT_EQ(all.size(), static_cast<std::size_t>(kIntervals));
  for (const Interval& interval : all) EXPECT_EQ(interval.messages, 36);
}

TEST(IntervalLog, HandsOnWhatIsClosed) {
  IntervalLog log(2, true);
  log.add(0, 0, kSecond, with(1));
  log.add(0, 1, 2 * kSecond, with(2));
  EXPECT_TRUE(log.take_closed().empty());
  log.add(1, 0, kSecond, with(4));
  auto closed = log.take_closed();
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].index, 0U);
  EXPECT_EQ(closed[0].end, kSecond);
  EXPECT_EQ(closed[0].sum->count(), 5);
  EXPECT_TRUE(log.take_closed().empty()) << "it was taken";
  log.leave(0);
  log.leave(1);
  closed = log.take_closed();
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].sum->count(), 2);
  EXPECT_FALSE(log.newest()) << "they are another log's";
}

}  // namespace
}  // namespace loadgen
