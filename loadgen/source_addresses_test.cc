// Sources on loopback in turn, more of them when ports run out, none towards other hosts.
#include "loadgen/source_addresses.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace loadgen {
namespace {

net::Address address(const char* host) { return net::Address::resolve(host, 8888); }

std::set<std::string> seen(SourceAddresses& sources, std::size_t times) {
  std::set<std::string> found;
  for (std::size_t i = 0; i < times; ++i) found.insert(sources.next()->to_string());
  return found;
}

TEST(SourceAddresses, OnLoopbackTakesTurns) {
  SourceAddresses sources(address("127.0.0.1"));
  EXPECT_EQ(sources.next()->to_string(), "127.0.0.1:0");
  EXPECT_EQ(sources.next()->to_string(), "127.0.0.2:0");
  EXPECT_EQ(seen(sources, 100).size(), SourceAddresses::kAtFirst);
}

TEST(SourceAddresses, WidensUntilThereAreNoMore) {
  SourceAddresses sources(address("127.0.0.1"));
  std::size_t in_use = SourceAddresses::kAtFirst;
  while (sources.widen()) {
    in_use *= 2;
    EXPECT_EQ(seen(sources, 1000).size(), in_use);
  }
  EXPECT_EQ(in_use, SourceAddresses::kMost);
}

TEST(SourceAddresses, ElsewhereTheSystemChooses) {
  for (const char* host : {"::1", "192.0.2.1"}) {
    SourceAddresses sources(address(host));
    EXPECT_EQ(sources.next(), nullptr) << host;
    EXPECT_FALSE(sources.widen()) << host;
  }
}

}  // namespace
}  // namespace loadgen
