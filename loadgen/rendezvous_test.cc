// Workers and the main thread meet, and meet again, whoever comes late or leaves. Run under
// ThreadSanitizer it is also a test of the locking.
#include "loadgen/rendezvous.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace loadgen {
namespace {

constexpr net::Nanos kPatience = 20 * net::kSecond;

bool all_come(Rendezvous& rendezvous) { return rendezvous.all_here(net::now() + kPatience); }

Phase phase_ending_at(net::Nanos end) {
  Phase phase;
  phase.run = true;
  phase.end = end;
  return phase;
}

TEST(Phase, ByDefaultThereIsNothingMoreToDo) {
  const Phase phase;
  EXPECT_FALSE(phase.run);
  EXPECT_EQ(phase.begin, net::kNever);
  EXPECT_EQ(phase.end, net::kNever);
  EXPECT_EQ(phase.messages, Phase::kUnlimited);
}

TEST(Rendezvous, WaitsNoLongerThanTheDeadline) {
  Rendezvous rendezvous(1);
  const net::Nanos deadline = net::now() + 5 * net::kMillisecond;
  EXPECT_FALSE(rendezvous.all_here(deadline));
  EXPECT_GE(net::now(), deadline);
  EXPECT_FALSE(rendezvous.all_here(0)) << "a deadline long ago";
}

TEST(Rendezvous, HandsThePhaseToTheWorker) {
  Rendezvous rendezvous(1);
  Phase got;
  std::thread worker([&] { got = rendezvous.arrive(); });
  EXPECT_TRUE(all_come(rendezvous));
  rendezvous.release({.run = true, .begin = 1, .end = 2, .messages = 3});
  worker.join();
  EXPECT_TRUE(got.run);
  EXPECT_EQ(got.begin, 1);
  EXPECT_EQ(got.end, 2);
  EXPECT_EQ(got.messages, 3U);
}

TEST(Rendezvous, HoldsAllUntilTheyAreReleased) {
  constexpr std::size_t kWorkers = 8;
  Rendezvous rendezvous(kWorkers);
  std::atomic<std::size_t> gone = 0;
  std::vector<std::thread> workers;
  workers.reserve(kWorkers);
  for (std::size_t i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&] {
      rendezvous.arrive();
      ++gone;
    });
  }
  EXPECT_TRUE(all_come(rendezvous));
  EXPECT_EQ(gone, 0U);
  rendezvous.release({});
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(gone, kWorkers);
}

TEST(Rendezvous, IsNotCompleteWithoutTheLast) {
  Rendezvous rendezvous(2);
  std::thread first([&] { rendezvous.arrive(); });
  EXPECT_FALSE(rendezvous.all_here(net::now() + 20 * net::kMillisecond));
  std::thread second([&] { rendezvous.arrive(); });
  EXPECT_TRUE(all_come(rendezvous));
  rendezvous.release({});
  first.join();
  second.join();
}

TEST(Rendezvous, MeetsAgainAndAgain) {
  constexpr std::size_t kWorkers = 4;
  constexpr net::Nanos kPhases = 200;
  Rendezvous rendezvous(kWorkers);
  std::vector<std::thread> workers;
  workers.reserve(kWorkers);
  std::atomic<net::Nanos> sum = 0;
  for (std::size_t i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&] {
      net::Nanos expected = 0;
      for (Phase phase = rendezvous.arrive(); phase.run; phase = rendezvous.arrive()) {
        EXPECT_EQ(phase.end, expected++) << "a phase was left out or came twice";
        sum += phase.end;
      }
    });
  }
  for (net::Nanos i = 0; i < kPhases; ++i) {
    ASSERT_TRUE(all_come(rendezvous));
    rendezvous.release(phase_ending_at(i));
  }
  ASSERT_TRUE(all_come(rendezvous));
  rendezvous.release({});
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(sum, static_cast<net::Nanos>(kWorkers) * kPhases * (kPhases - 1) / 2);
}

TEST(Rendezvous, OneThatHasLeftIsNotWaitedFor) {
  Rendezvous rendezvous(2);
  std::thread worker([&] { rendezvous.arrive(); });
  std::thread ended([&] { rendezvous.leave(); });
  EXPECT_TRUE(all_come(rendezvous));
  rendezvous.release({});
  worker.join();
  ended.join();
}

TEST(Rendezvous, LeavingWakesTheOneWhoWaits) {
  Rendezvous rendezvous(1);
  std::thread ended([&] { rendezvous.leave(); });
  EXPECT_TRUE(all_come(rendezvous));
  ended.join();
}

}  // namespace
}  // namespace loadgen
