// The order in which connections get work.
#include "loadgen/turns.h"

#include <gtest/gtest.h>

namespace loadgen {
namespace {

TEST(Turns, TheLongestWaitingIsNext) {
  Turns turns;
  turns.make_room(3);
  for (const std::uint32_t slot : {2U, 0U, 1U}) turns.push(slot);
  EXPECT_EQ(turns.size(), 3U);
  EXPECT_EQ(turns.pop(), 2U);
  turns.push(2);
  EXPECT_EQ(turns.pop(), 0U);
  EXPECT_EQ(turns.pop(), 1U);
  EXPECT_EQ(turns.pop(), 2U);
  EXPECT_TRUE(turns.empty());
}

TEST(Turns, NobodyStandsTwice) {
  Turns turns;
  turns.make_room(2);
  turns.push(1);
  turns.push(1);
  EXPECT_EQ(turns.size(), 1U);
  turns.pop();
  turns.push(1);
  EXPECT_EQ(turns.pop(), 1U);
}

TEST(Turns, GrowsWithoutLosingTheOrder) {
  Turns turns;
  turns.make_room(3);
  for (const std::uint32_t slot : {0U, 1U, 2U}) turns.push(slot);
  turns.pop();
  turns.push(0);  // now it goes round the end
  turns.make_room(5);
  turns.push(4);
  for (const std::uint32_t slot : {1U, 2U, 0U, 4U}) EXPECT_EQ(turns.pop(), slot);
  EXPECT_TRUE(turns.empty());
}

}  // namespace
}  // namespace loadgen
