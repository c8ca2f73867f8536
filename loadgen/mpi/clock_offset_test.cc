// The shortest round says most of another clock.
#include "loadgen/mpi/clock_offset.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace loadgen::mpi {
namespace {

TEST(ClockOffset, TakesTheAnswerForTheMiddleOfTheRound) {
  ClockOffset clock;
  clock.add(1'000, 5'050, 1'100);
  EXPECT_EQ(clock.offset(), 4'000);
  EXPECT_EQ(clock.error(), 50);
  EXPECT_EQ(clock.rounds(), 1);
}

TEST(ClockOffset, BelievesTheShortestRound) {
  ClockOffset clock;
  clock.add(0, -3'000'000, 2'000'000);  // someone slept
  clock.add(10'000'000, 9'000'010, 10'000'020);
  clock.add(20'000'000, 19'500'000, 21'000'000);
  EXPECT_EQ(clock.offset(), -1'000'000);
  EXPECT_EQ(clock.error(), 10);
  EXPECT_EQ(clock.rounds(), 3);
}

TEST(ClockOffset, IsNeverFurtherOffThanItSays) {
  constexpr net::Nanos kOffset = 123'456'789;
  for (net::Nanos there = 0; there <= 1'000; there += 50) {  // the way there takes so long, of 1 us
    ClockOffset clock;
    clock.add(0, kOffset + there, 1'000);
    EXPECT_LE(std::abs(clock.offset() - kOffset), clock.error());
  }
}

}  // namespace
}  // namespace loadgen::mpi
