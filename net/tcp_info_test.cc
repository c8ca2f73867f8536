// The figures of TCP_INFO, read from real connections.
#include "net/tcp_info.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/fd.h"
#include "net/socket.h"
#include "net/testing_peer.h"

namespace net::test {
namespace {

struct Pair {
  Fd listener = listen_on(local(), 16);
  Peer client{Address::of_socket(listener.get())};
  Peer server{Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
};

TEST(TcpInfo, OfAnUndisturbedConnection) {
  Pair pair;
  const auto before = tcp_info(pair.client.fd());
  ASSERT_TRUE(before);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(pair.client.send("hello"));
    ASSERT_EQ(pair.server.receive(5).size(), 5U);
    ASSERT_TRUE(pair.server.send("hello"));
    ASSERT_EQ(pair.client.receive(5).size(), 5U);
  }
  const auto after = tcp_info(pair.client.fd());
  ASSERT_TRUE(after);
  EXPECT_EQ(after->retransmits, 0U);
  ASSERT_TRUE(after->rtt);
  EXPECT_GT(*after->rtt, 0);
  EXPECT_LT(*after->rtt, kSecond);
  if (before->segments_out) {
    EXPECT_GE(*after->segments_out, *before->segments_out + 10);
    EXPECT_GE(*after->segments_in, *before->segments_in + 10);
  }
}

TEST(TcpInfo, OfWhatIsNoConnectionThereIsNone) {
  EXPECT_FALSE(tcp_info(-1));
  const Fd datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(tcp_info(datagrams.get()));
}

}  // namespace
}  // namespace net::test
