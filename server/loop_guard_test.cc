// A chain ends or is a loop; either way it is told.
#include "server/loop_guard.h"

#include <gtest/gtest.h>

namespace server {
namespace {

/// How many nodes a message goes through before one of them says that it goes in circles.
int nodes_until_noticed(int hop_limit_of_client, int routers_between) {
  int hop_limit = hop_limit_of_client;
  for (int nodes = 1; nodes < 1000; ++nodes) {
    const LoopGuard guard(hop_limit);
    if (guard.is_loop()) return nodes;
    hop_limit = guard.next_hop_limit() - routers_between;
  }
  return 0;
}

TEST(LoopGuard, LetsEveryClientIn) {
  for (const int usual : {0, 1, 32, 64, 128, 255}) {
    EXPECT_FALSE(LoopGuard(usual).is_loop()) << usual;
  }
}

TEST(LoopGuard, NoticesALoopAfterAHundredNodes) {
  for (const int usual : {0, 64, 128}) EXPECT_EQ(nodes_until_noticed(usual, 0), 102) << usual;
}

TEST(LoopGuard, CountsTheRoutersBetweenTheNodes) { EXPECT_EQ(nodes_until_noticed(64, 4), 22); }

}  // namespace
}  // namespace server
