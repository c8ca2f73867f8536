// How long lost connections wait: each attempt longer than the one before, none for ever, and many
// of them never at once.
#include "loadgen/back_off.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace loadgen {
namespace {

using net::kMillisecond;
using net::kSecond;

constexpr net::Nanos kNow = 5 * kSecond;

net::Nanos wait_before(std::uint32_t attempt, std::uint64_t seed = 1) {
  BackOff back_off(seed);
  back_off.add({.attempt = attempt}, kNow);
  return back_off.next() - kNow;
}

TEST(BackOff, HasNothingToDoAtFirst) {
  EXPECT_EQ(BackOff(1).next(), net::kNever);
  EXPECT_EQ(BackOff(1).size(), 0U);
}

TEST(BackOff, DoublesUpToASecond) {
  net::Nanos most = 10 * kMillisecond;
  for (std::uint32_t attempt = 1; attempt < 100; ++attempt) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      const net::Nanos wait = wait_before(attempt, seed);
      EXPECT_GE(wait, most / 2) << attempt;
      EXPECT_LE(wait, most) << attempt;
    }
    most = std::min(2 * most, kSecond);
  }
  EXPECT_LE(wait_before(0xffff'ffff), kSecond);
}

TEST(BackOff, GivesTheFirstOneFirst) {
  BackOff back_off(3);
  for (std::uint32_t i = 0; i < 100; ++i) {
    back_off.add({.position = i, .attempt = 1 + i % 9}, kNow);
  }
  std::set<std::uint32_t> positions;
  net::Nanos before = kNow;
  for (; back_off.next() != net::kNever; positions.insert(back_off.take().position)) {
    EXPECT_GE(back_off.next(), before);
    before = back_off.next();
  }
  EXPECT_EQ(positions.size(), 100U);
  EXPECT_EQ(back_off.size(), 0U);
}

TEST(BackOff, KeepsWhatItIsGiven) {
  BackOff back_off(1);
  back_off.add({.position = 17, .attempt = 4}, kNow);
  const Vacancy vacancy = back_off.take();
  EXPECT_EQ(vacancy.position, 17U);
  EXPECT_EQ(vacancy.attempt, 4U);
}

TEST(BackOff, SpreadsThoseThatWereLostTogether) {
  BackOff back_off(1);
  for (std::uint32_t i = 0; i < 500; ++i) back_off.add({.attempt = 8}, kNow);
  // Of the half second over which they are spread, no tenth has more than twice its share.
  std::vector<int> tenths(11);
  for (; back_off.next() != net::kNever; back_off.take()) {
    ++tenths.at(
        static_cast<std::size_t>((back_off.next() - kNow - kSecond / 2) / (50 * kMillisecond)));
  }
  for (const int tenth : tenths) EXPECT_LE(tenth, 100);
}

TEST(BackOff, FollowsFromTheSeed) {
  EXPECT_EQ(wait_before(5, 7), wait_before(5, 7));
  EXPECT_NE(wait_before(5, 7), wait_before(5, 8));
}

}  // namespace
}  // namespace loadgen
