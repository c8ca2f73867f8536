// Nothing is lost and nothing is sent twice when a run is divided, over threads or processes.
#include "loadgen/share.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace loadgen {
namespace {

TEST(Portion, AddsUpToTheWholeAndDiffersByOneAtMost) {
  for (const std::uint64_t whole : {0U, 1U, 7U, 1000U, 1001U}) {
    for (const std::uint64_t of : {1U, 2U, 3U, 7U, 64U}) {
      std::uint64_t sum = 0;
      for (std::uint64_t i = 0; i < of; ++i) {
        const std::uint64_t part = portion(whole, i + 1, of) - portion(whole, i, of);
        EXPECT_GE(part, whole / of);
        EXPECT_LE(part, whole / of + 1);
        sum += part;
      }
      EXPECT_EQ(sum, whole);
    }
  }
}

TEST(Portion, DoesNotOverflow) {
  constexpr std::uint64_t kMessages = 1'000'000'000'000;
  constexpr std::uint64_t kConnections = 10'000'000'000;
  EXPECT_EQ(portion(kMessages, kConnections, kConnections), kMessages);
  EXPECT_EQ(portion(kMessages, kConnections / 2, kConnections), kMessages / 2);
}

TEST(ShareOf, GivesEachConnectionToOneWorkerOfAllProcesses) {
  constexpr std::size_t kProcesses = 3;
  constexpr std::size_t kThreads = 2;
  for (const std::size_t connections : {6U, 7U, 500U}) {
    std::size_t next = 0;
    std::size_t number = 0;
    for (std::size_t process = 0; process < kProcesses; ++process) {
      const Part part{.index = process, .of = kProcesses};
      for (std::size_t worker = 0; worker < kThreads; ++worker, ++number) {
        const Share share = share_of(part, worker, kThreads, connections);
        EXPECT_EQ(share.worker, worker);
        EXPECT_EQ(share.number, number);
        EXPECT_EQ(share.workers, kProcesses * kThreads);
        EXPECT_EQ(share.first_connection, next);
        EXPECT_GE(share.connections, 1U);
        next += share.connections;
      }
    }
    EXPECT_EQ(next, connections);
  }
}

TEST(ShareOf, IsTheSameForAThreadOfOneProcessAndOfMany) {
  for (std::size_t number = 0; number < 8; ++number) {
    const Share alone = share_of({}, number, 8, 1003);
    const Share among = share_of({.index = number / 2, .of = 4}, number % 2, 2, 1003);
    EXPECT_EQ(alone.first_connection, among.first_connection);
    EXPECT_EQ(alone.connections, among.connections);
    EXPECT_EQ(alone.number, among.number);
  }
}

}  // namespace
}  // namespace loadgen
