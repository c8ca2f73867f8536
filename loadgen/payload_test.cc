// The payload's promise: every slice stands at one place only, connections and messages are all
// different, and the block goes round without a seam.
#include "loadgen/payload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace loadgen {
namespace {

std::string text_of(net::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_prime(std::size_t n) {
  for (std::size_t i = 2; i * i <= n; ++i) {
    if (n % i == 0) return false;
  }
  return n > 1;
}

/// A message as long as the block, so that another period is taken.
constexpr std::size_t kAsLongAsTheBlock = 1'048'573;

TEST(Payload, IsTheSameForTheSameSeed) {
  const Payload one(7, 64), same(7, 64), other(8, 64);
  EXPECT_EQ(text_of(one.at(0, 10'000)), text_of(same.at(0, 10'000)));
  EXPECT_NE(text_of(one.at(0, 64)), text_of(other.at(0, 64)));
}

TEST(Payload, KnowsItsMessageSize) { EXPECT_EQ(Payload(1, 123).message_size(), 123U); }

TEST(Payload, HasAPrimePeriodThatNoMessageSizeDivides) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{64}, std::size_t{1} << 20,
                                 kAsLongAsTheBlock, 3 * kAsLongAsTheBlock}) {
    const Payload payload(1, size);
    EXPECT_TRUE(is_prime(payload.period())) << size;
    EXPECT_NE(size % payload.period(), 0U) << size;
    EXPECT_GT(payload.period(), 1'000'000U);
  }
}

TEST(Payload, GoesRoundWithoutASeam) {
  for (const std::size_t size : {std::size_t{64}, kAsLongAsTheBlock}) {
    const Payload payload(1, size);
    const std::size_t last = payload.period() - 1;
    EXPECT_EQ(text_of(payload.at(last, 1000)),
              text_of(payload.at(last, 1)) + text_of(payload.at(0, 999)));
    const std::string longest = text_of(payload.at(last, Payload::kLongest));
    EXPECT_EQ(longest.substr(1, 5000), text_of(payload.at(0, 5000)));
    EXPECT_EQ(longest.back(),
              text_of(payload.at((last + Payload::kLongest - 1) % payload.period(), 1))[0]);
  }
}

TEST(Payload, SlicesStayWhereTheyAre) {
  const Payload payload(1, 64);
  EXPECT_EQ(payload.at(10, 20).data(), payload.at(0, 1).data() + 10);
}

TEST(Payload, EightBytesInARowStandAtOnePlaceOnly) {
  const Payload payload(1, 64);
  std::vector<std::uint64_t> windows(payload.period());
  const net::Bytes whole = payload.at(0, payload.period() + 7);
  for (std::size_t i = 0; i < windows.size(); ++i) {
    std::memcpy(&windows[i], whole.data() + i, sizeof windows[i]);
  }
  std::ranges::sort(windows);
  EXPECT_TRUE(std::ranges::adjacent_find(windows) == windows.end());
}

TEST(Payload, AMillionConnectionsBeginAtDifferentPlaces) {
  for (const std::size_t size : {std::size_t{64}, kAsLongAsTheBlock}) {
    const Payload payload(1, size);
    std::vector<bool> taken(payload.period());
    for (std::size_t connection = 0; connection < 1'000'000; ++connection) {
      const std::size_t start = payload.start_of(connection);
      ASSERT_LT(start, payload.period());
      ASSERT_FALSE(taken[start]) << connection;
      taken[start] = true;
    }
  }
}

TEST(Payload, NeighbouringConnectionsAreFarApart) {
  const Payload payload(1, 64);
  for (std::size_t i = 1; i <= 500; ++i) {
    const std::size_t distance = payload.distance(payload.start_of(0), payload.start_of(i));
    EXPECT_GT(std::min(distance, payload.period() - distance), 500U) << i;
  }
}

TEST(Payload, TheMessagesOfAConnectionAreAllDifferent) {
  for (const std::size_t size : {std::size_t{64}, std::size_t{1} << 20, kAsLongAsTheBlock}) {
    const Payload payload(1, size);
    std::vector<bool> taken(payload.period());
    std::size_t at = payload.start_of(3);
    for (int message = 0; message < 1'000'000; ++message) {
      ASSERT_FALSE(taken[at]) << "message " << message << " of " << size << " bytes";
      taken[at] = true;
      at = payload.advance(at, size);
    }
  }
}

TEST(Payload, DistanceUndoesAdvance) {
  const Payload payload(1, 64);
  std::mt19937 random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::size_t from = random() % payload.period();
    const std::size_t bytes = random() % payload.period();
    const std::size_t to = payload.advance(from, bytes);
    ASSERT_LT(to, payload.period());
    ASSERT_EQ(payload.distance(from, to), bytes);
  }
  EXPECT_EQ(payload.advance(payload.period() - 1, 1), 0U);
  EXPECT_EQ(payload.advance(5, 10 * payload.period()), 5U);
  EXPECT_EQ(payload.distance(5, 5), 0U);
}

TEST(PayloadFind, FindsWhereBytesStand) {
  const Payload payload(1, 64);
  std::mt19937 random(1);
  for (int i = 0; i < 50; ++i) {
    const std::size_t position = random() % payload.period();
    const std::size_t size = 8 + random() % 100;
    EXPECT_EQ(payload.find(payload.at(position, size)), position);
  }
}

TEST(PayloadFind, FindsWhatStandsAcrossTheSeam) {
  const Payload payload(1, 64);
  for (const std::size_t before : {1U, 7U, 15U}) {
    const std::size_t position = payload.period() - before;
    EXPECT_EQ(payload.find(payload.at(position, 16)), position);
  }
  EXPECT_EQ(payload.find(payload.at(0, 16)), 0U);
}

TEST(PayloadFind, FindsNothingThatIsNotThere) {
  const Payload payload(1, 64), other(2, 64);
  for (std::size_t position = 0; position < 20; ++position) {
    EXPECT_EQ(payload.find(other.at(position, 8)), std::nullopt);
  }
  std::string almost = text_of(payload.at(100, 16));
  almost[15] ^= 1;
  EXPECT_EQ(payload.find(std::as_bytes(std::span(almost))), std::nullopt);
}

}  // namespace
}  // namespace loadgen
