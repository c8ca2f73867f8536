// The window in ten parts.
#include "loadgen/tenths.h"

#include <gtest/gtest.h>

namespace loadgen {
namespace {

TEST(Tenths, EachMessageIsInThePartInWhichItWasAnswered) {
  Tenths tenths;
  TenthsClock clock;
  clock.window(1000, 2000);
  for (const net::Nanos t : {1000, 1099, 1100, 1550, 1599, 1999}) clock.record(tenths, t, t);
  const auto messages = [&](std::size_t i) { return tenths.parts[i].messages; };
  EXPECT_EQ(messages(0), 2U);
  EXPECT_EQ(messages(1), 1U);
  EXPECT_EQ(messages(2), 0U);
  EXPECT_EQ(messages(5), 2U);
  EXPECT_EQ(messages(9), 1U);
  EXPECT_DOUBLE_EQ(tenths.parts[5].mean_latency(), 1574.5);
  EXPECT_EQ(tenths.parts[2].mean_latency(), 0);
}

TEST(Tenths, WhatTheDivisionLeavesBelongsToTheLast) {
  Tenths tenths;
  TenthsClock clock;
  clock.window(0, 109);  // ten parts of 10, and 9 more
  clock.record(tenths, 108, 1);
  EXPECT_EQ(tenths.parts[9].messages, 1U);
}

TEST(Tenths, AWindowWithoutEndHasNone) {
  Tenths tenths;
  TenthsClock clock;
  clock.window(0, net::kNever);
  clock.record(tenths, 5, 1);
  for (const Tenths::Part& part : tenths.parts) EXPECT_EQ(part.messages, 0U);
}

TEST(Tenths, AddUp) {
  Tenths a, b;
  a.parts[3] = {.messages = 2, .latency = 10};
  b.parts[3] = {.messages = 1, .latency = 5};
  a.add(b);
  EXPECT_EQ(a.parts[3].messages, 3U);
  EXPECT_DOUBLE_EQ(a.parts[3].mean_latency(), 5);
}

}  // namespace
}  // namespace loadgen
