// Each fault, seen by a client that is no loadgen.
#include "loadgen/faulty_server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "net/testing_peer.h"

namespace loadgen {
namespace {

using net::kMillisecond;
using net::test::pattern;
using net::test::Peer;

const std::string kMessage = pattern(1, 64);

std::string exchange(Peer& peer) {
  EXPECT_TRUE(peer.send(kMessage));
  return peer.receive(kMessage.size());
}

TEST(FaultyServer, WithoutAFaultEchoes) {
  FaultyServer server({});
  EXPECT_EQ(server.began(), 0);
  Peer peer(server.address());
  for (int i = 0; i < 10; ++i) ASSERT_EQ(exchange(peer), kMessage);
  EXPECT_GT(server.began(), 0);
  EXPECT_EQ(server.stop().messages, 10U);
  EXPECT_EQ(server.stop().held.count(), 10);
}

TEST(FaultyServer, Stalls) {
  FaultyServer server({.stall_after = 5 * kMillisecond, .stall_for = 50 * kMillisecond});
  Peer peer(server.address());
  const net::Nanos begin = net::now();
  // The server looks at the time between two messages. So one that is asked when the time has come
  // may be answered yet, but what is asked after that is answered after the stall.
  net::Nanos asked = begin;
  while (server.began() == 0 || asked <= server.began() + 5 * kMillisecond) {
    asked = net::now();
    ASSERT_LT(asked - begin, net::test::kPatience);
    ASSERT_EQ(exchange(peer), kMessage);
  }
  for (int i = 0; i < 2; ++i) ASSERT_EQ(exchange(peer), kMessage);
  EXPECT_GE(net::now() - begin, 50 * kMillisecond);
  EXPECT_GE(server.stop().stalled, 50 * kMillisecond);
}

TEST(FaultyServer, Swallows) {
  FaultyServer server({.swallow_every = 3});
  Peer first(server.address());
  EXPECT_EQ(exchange(first), kMessage);
  EXPECT_EQ(exchange(first), kMessage);
  ASSERT_TRUE(first.send(kMessage));
  Peer second(server.address());
  EXPECT_EQ(exchange(second), kMessage);
  EXPECT_EQ(first.try_receive(), "");
  EXPECT_EQ(server.stop().swallowed, 1U);
}

TEST(FaultyServer, FlipsOneBit) {
  FaultyServer server({.flip_at = 2});
  Peer peer(server.address());
  EXPECT_EQ(exchange(peer), kMessage);
  std::string flipped = exchange(peer);
  EXPECT_NE(flipped, kMessage);
  flipped[32] = static_cast<char>(flipped[32] ^ 0x10);
  EXPECT_EQ(flipped, kMessage);
  EXPECT_EQ(exchange(peer), kMessage);
  EXPECT_EQ(server.stop().flipped, 1U);
}

TEST(FaultyServer, Delays) {
  FaultyServer server({.delay = 3 * kMillisecond});
  Peer peer(server.address());
  const net::Nanos sent = net::now();
  EXPECT_EQ(exchange(peer), kMessage);
  const net::Nanos seen = net::now() - sent;
  EXPECT_GE(seen, 3 * kMillisecond);
  const std::int64_t held = server.stop().held.min();
  EXPECT_GE(held, 3 * kMillisecond);
  EXPECT_LE(held, seen);
}

TEST(FaultyServer, Dribbles) {
  FaultyServer server({.byte_gap = 200 * net::kMicrosecond});
  Peer peer(server.address());
  ASSERT_TRUE(peer.send(kMessage));
  std::string reply;
  std::size_t reads = 0;
  while (reply.size() < kMessage.size() && net::test::ready_for(peer.fd(), POLLIN)) {
    reply += peer.try_receive();
    ++reads;
  }
  EXPECT_EQ(reply, kMessage);
  EXPECT_GT(reads, 1U);
  EXPECT_GE(server.stop().held.min(), 64 * 200 * net::kMicrosecond);
}

TEST(FaultyServer, EndsWithItsConnectionsOpen) {
  FaultyServer server({.swallow_every = 2});
  Peer peer(server.address());
  EXPECT_EQ(exchange(peer), kMessage);
  ASSERT_TRUE(peer.send(kMessage));
  server.stop();
  peer.receive_all();
  EXPECT_TRUE(peer.ended());
}

}  // namespace
}  // namespace loadgen
