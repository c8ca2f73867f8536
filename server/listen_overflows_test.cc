#include "server/listen_overflows.h"

#include <gtest/gtest.h>

namespace server {
namespace {

std::optional<std::uint64_t> read(std::string_view text) { return listen_overflows_in(text); }

TEST(ListenOverflows, StandBelowTheirName) {
  EXPECT_EQ(read("TcpExt: TW ListenOverflows ListenDrops\nTcpExt: 1 23 45\n"), 23);
  EXPECT_EQ(read("IpExt: InOctets\nIpExt: 7\nTcpExt: ListenOverflows\nTcpExt: 0\n"), 0);
}

TEST(ListenOverflows, AreUnknownWhereTheKernelDoesNotSay) {
  EXPECT_EQ(read(""), std::nullopt);
  EXPECT_EQ(read("TcpExt: TW ListenDrops\nTcpExt: 1 45\n"), std::nullopt);
  EXPECT_EQ(read("TcpExt: TW ListenOverflows\n"), std::nullopt);
  EXPECT_EQ(read("TcpExt: TW ListenOverflows\nTcpExt: 1\n"), std::nullopt);
  EXPECT_EQ(read("TcpExt: TW ListenOverflows\nTcpExt: 1 many\n"), std::nullopt);
}

TEST(ListenOverflows, AreToldByThisKernel) {
  EXPECT_TRUE(ListenOverflows().since_start().has_value());
}

}  // namespace
}  // namespace server
