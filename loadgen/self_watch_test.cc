// A worker's watch on itself, on clocks made up for the purpose.
#include "loadgen/self_watch.h"

#include <gtest/gtest.h>

namespace loadgen {
namespace {

using net::kMillisecond;
using net::kSecond;

/// A worker whose clocks the test moves: `now` always, `cpu` while it runs.
class FakeWorker {
 public:
  explicit FakeWorker(bool spins) : spins_(spins), watch(spins) {
    watch.window(now, now + 10 * kSecond);
    turn();
  }

  void works(net::Nanos time) { now += time, cpu += time; }
  void is_stopped(net::Nanos time) { now += time; }
  void turn() {
    if (watch.look(now)) watch.check(now, cpu);
  }
  /// Waits `asked`, is stopped for the time given somewhere in it, and wakes up when both are over.
  void waits(net::Nanos asked, net::Nanos stopped = 0) {
    watch.waits(now, now + asked);
    if (spins_) cpu += std::max<net::Nanos>(0, asked - stopped);
    now += std::max(asked, stopped);
    watch.woke(now);
  }

 private:
  bool spins_;

 public:
  SelfWatch watch;
  net::Nanos now = 77 * kSecond;
  net::Nanos cpu = kSecond;
};

class SelfWatchTest : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(, SelfWatchTest, testing::Bool(),
                         [](const auto& spins) { return spins.param ? "spinning" : "sleeping"; });

TEST_P(SelfWatchTest, SumsUpTheWaiting) {
  FakeWorker worker(GetParam());
  for (int i = 0; i < 100; ++i) {
    worker.works(3 * kMillisecond);
    worker.waits(2 * kMillisecond);
    worker.turn();
  }
  EXPECT_EQ(worker.watch.waited(), 200 * kMillisecond);
  EXPECT_EQ(worker.watch.stalled(), 0);
}

TEST_P(SelfWatchTest, AStopAtWorkIsAStall) {
  FakeWorker worker(GetParam());
  worker.works(kMillisecond);
  worker.is_stopped(kSecond);
  worker.works(kMillisecond);
  worker.turn();
  EXPECT_EQ(worker.watch.stalled(), kSecond);
  EXPECT_EQ(worker.watch.longest_stall(), kSecond);
}

TEST_P(SelfWatchTest, AStopWhileWaitingIsAStallBeyondWhatWasAskedFor) {
  FakeWorker worker(GetParam());
  worker.waits(SelfWatch::kLongestWait, kSecond);
  worker.turn();
  EXPECT_GE(worker.watch.stalled(), kSecond - SelfWatch::kLongestWait);
  EXPECT_LE(worker.watch.stalled(), kSecond);
}

TEST_P(SelfWatchTest, WaitingAsLongAsAskedIsNone) {
  FakeWorker worker(GetParam());
  for (int i = 0; i < 10; ++i) {
    worker.waits(SelfWatch::kLongestWait);
    worker.turn();
  }
  EXPECT_EQ(worker.watch.stalled(), 0);
}

TEST_P(SelfWatchTest, BusyIsNotStalled) {
  FakeWorker worker(GetParam());
  worker.waits(kMillisecond);
  worker.works(300 * kMillisecond);  // a batch of large messages
  worker.turn();
  EXPECT_EQ(worker.watch.stalled(), 0);
}

TEST_P(SelfWatchTest, BusyForLongAndStoppedForAWhileCountsTheStop) {
  FakeWorker worker(GetParam());
  worker.works(300 * kMillisecond);
  worker.is_stopped(100 * kMillisecond);
  worker.turn();
  EXPECT_EQ(worker.watch.stalled(), 100 * kMillisecond);
}

TEST_P(SelfWatchTest, StopsAddUpAndTheLongestIsKept) {
  FakeWorker worker(GetParam());
  for (const net::Nanos stop : {20, 500, 30}) {
    worker.is_stopped(stop * kMillisecond);
    worker.turn();
  }
  EXPECT_EQ(worker.watch.stalled(), 550 * kMillisecond);
  EXPECT_EQ(worker.watch.longest_stall(), 500 * kMillisecond);
}

TEST_P(SelfWatchTest, WhatTheSchedulerDoesAllTheTimeIsNone) {
  FakeWorker worker(GetParam());
  worker.is_stopped(SelfWatch::kNoticeable - 1);
  worker.turn();
  EXPECT_EQ(worker.watch.stalled(), 0);
}

TEST_P(SelfWatchTest, OnlyTheWindowCounts) {
  FakeWorker worker(GetParam());
  worker.watch.window(worker.now + kSecond, worker.now + 2 * kSecond);
  worker.turn();
  worker.is_stopped(kSecond + 200 * kMillisecond);
  worker.turn();
  EXPECT_EQ(worker.watch.stalled(), 200 * kMillisecond);
  worker.waits(kSecond);
  EXPECT_EQ(worker.watch.waited(), 800 * kMillisecond);
}

TEST_P(SelfWatchTest, WhatPassesBetweenTwoPhasesIsNoGap) {
  FakeWorker worker(GetParam());
  worker.now += kSecond;  // at the rendezvous
  worker.watch.window(worker.now - kSecond / 2, worker.now + kSecond);
  worker.turn();
  EXPECT_EQ(worker.watch.stalled(), 0);
}

}  // namespace
}  // namespace loadgen
