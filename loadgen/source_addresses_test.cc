// Sources on loopback in turn, more of them when ports run out, none towards other hosts.
#include "loadgen/source_addresses.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace loadgen {
namespace {

net::Address address(const char* host) { return net::Address::resolve(host, 8888); }

std::set<std::string> seen(SourceAddresses& sources) {
  std::set<std::string> found;
  for (std::size_t i = 0; i < 10 * SourceAddresses::kSet; ++i) {
    found.insert(sources.next()->to_string());
  }
  return found;
}

TEST(SourceAddresses, OnLoopbackTakesTurns) {
  SourceAddresses sources(address("127.0.0.1"));
  EXPECT_EQ(sources.next()->to_string(), "127.0.0.1:0");
  EXPECT_EQ(sources.next()->to_string(), "127.0.0.2:0");
  EXPECT_EQ(seen(sources).size(), SourceAddresses::kSet);
}

TEST(SourceAddresses, GoesThroughAllSetsAndThenNoFurther) {
  SourceAddresses sources(address("127.0.0.1"));
  std::set<std::string> all = seen(sources);
  while (sources.used_up(sources.set())) all.merge(seen(sources));
  EXPECT_EQ(all.size(), SourceAddresses::kSet * SourceAddresses::kSets);
  EXPECT_FALSE(sources.used_up(sources.set()));
  sources.had_port();
  EXPECT_TRUE(sources.used_up(sources.set()));
}

TEST(SourceAddresses, ManyConnectsThatFailTogetherUseUpOneSet) {
  SourceAddresses sources(address("127.0.0.1"));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(sources.used_up(0));
  EXPECT_EQ(sources.set(), 1U);
}

TEST(SourceAddresses, ElsewhereTheSystemChooses) {
  for (const char* host : {"::1", "192.0.2.1"}) {
    SourceAddresses sources(address(host));
    EXPECT_EQ(sources.next(), nullptr) << host;
    EXPECT_FALSE(sources.used_up(sources.set())) << host;
  }
}

}  // namespace
}  // namespace loadgen
