// What people write as an address and what they get: every accepted form, every refused one with
// a text that says what is allowed, and the way back through to_string().
#include "net/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace {

using net::Address;

std::string parsed(std::string_view text) { return Address::parse(text, 8888).to_string(); }

/// The text of the std::invalid_argument that `text` ends in; a failure if it does not.
std::string refusal(std::string_view text) {
  try {
    ADD_FAILURE() << '\'' << text << "' was read as " << parsed(text);
  } catch (const std::invalid_argument& e) {
    return e.what();
  } catch (const std::exception& e) {
    ADD_FAILURE() << '\'' << text << "' ended in another exception: " << e.what();
  }
  return {};
}

TEST(AddressParse, ReadsEveryForm) {
  EXPECT_EQ(parsed("127.0.0.1:80"), "127.0.0.1:80");
  EXPECT_EQ(parsed("127.0.0.1"), "127.0.0.1:8888");
  EXPECT_EQ(parsed("0.0.0.0:1"), "0.0.0.0:1");
  EXPECT_EQ(parsed("[::1]:65535"), "[::1]:65535");
  EXPECT_EQ(parsed("[::1]"), "[::1]:8888");
  EXPECT_EQ(parsed("::1"), "[::1]:8888");
  EXPECT_EQ(parsed("::"), "[::]:8888");
  EXPECT_EQ(parsed("[::ffff:127.0.0.1]:9"), "[::ffff:127.0.0.1]:9");
}

TEST(AddressParse, TakesAnIpv6AddressWithoutBracketsAsAWhole) {
  EXPECT_EQ(parsed("2001:db8::1:80"), "[2001:db8::1:80]:8888");
}

TEST(AddressParse, ResolvesLocalhost) {
  const Address address = Address::parse("localhost:4000", 8888);
  EXPECT_TRUE(address.is_loopback()) << address.to_string();
  EXPECT_EQ(address.port(), 4000);
}

TEST(AddressParse, KeepsTheScopeOfALinkLocalAddress) {
  for (const char* text : {"[fe80::1%lo]:8888", "fe80::1%lo", "[fe80::1%1]:8888"}) {
    const Address address = Address::parse(text, 8888);
    EXPECT_EQ(address.to_string(), "[fe80::1%lo]:8888") << text;
    const auto* ipv6 = reinterpret_cast<const sockaddr_in6*>(address.data());
    EXPECT_EQ(ipv6->sin6_scope_id, if_nametoindex("lo")) << text;
  }
}

TEST(AddressParse, RefusesAPortThatIsNone) {
  for (const char* port : {"0", "65536", "99999999999999999999", "", "80x", " 80", "80 ", "+80",
                           "-1", "0x50", "010", "8.0", "http"}) {
    const std::string message = refusal(std::string("127.0.0.1:") + port);
    EXPECT_NE(message.find("from 1 to 65535"), std::string::npos) << port << ": " << message;
    refusal(std::string("[::1]:") + port);
  }
}

TEST(AddressParse, RefusesWhatHasNotTheForm) {
  for (const char* text :
       {"", ":8888", "[]", "[]:8888", "[::1", "[::1]8888", "[::1] :8888", "::1]", "[127.0.0.1]:80",
        "[localhost]:80", "127.0.0.1:80:81", "1:2:3", ":::", "http://127.0.0.1:80", "local host",
        "localhost :80", "\tlocalhost", "127.0.0.1 junk", "[::1%]x"}) {
    EXPECT_NE(refusal(text).find("such as"), std::string::npos) << text;
  }
  refusal(std::string_view("127.0.0.1\0.example", 18));
}

TEST(AddressParse, RefusesNumbersThatTheResolverWouldTakeForAnotherAddress) {
  for (const char* text : {"8888", "127.1", "127.0.0.256", "010.0.0.1", "127.0.0.1.", "1.2.3.4.5",
                           "0", "256:80", "..."}) {
    EXPECT_NE(refusal(text).find("IPv4"), std::string::npos) << text;
  }
}

TEST(AddressParse, LeavesPortZeroToTheCallersDefault) {
  EXPECT_EQ(Address::parse("127.0.0.1", 0).to_string(), "127.0.0.1:0");
}

TEST(AddressResolve, AcceptsBracketsAndPortZero) {
  EXPECT_EQ(Address::resolve("[::1]", 0).to_string(), "[::1]:0");
  EXPECT_EQ(Address::resolve("127.0.0.1", 0).to_string(), "127.0.0.1:0");
}

TEST(AddressResolve, NamesTheHostAndTheReason) {
  // None of these asks a name server: an empty label is refused before the query is sent.
  for (const char* host : {"bad..name", "fe80::1%nosuchif", "[127.0.0.1]", "8888", ""}) {
    try {
      Address::resolve(host, 1);
      ADD_FAILURE() << host << " resolved";
    } catch (const std::runtime_error& e) {
      const std::string message = e.what();
      EXPECT_NE(message.find("cannot resolve '" + std::string(host) + "': "), std::string::npos);
      EXPECT_GT(message.size(), std::strlen("cannot resolve '': ") + std::strlen(host)) << message;
    }
  }
}

TEST(AddressParse, LeavesAnUnknownInterfaceToTheResolver) {
  try {
    Address::parse("[fe80::1%nosuchif]:80", 1);
    ADD_FAILURE() << "resolved";
  } catch (const std::invalid_argument& e) {
    ADD_FAILURE() << "a form that is right was refused: " << e.what();
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find("interface"), std::string::npos) << e.what();
  }
}

TEST(AddressToString, IsReadBackByParse) {
  for (const char* text : {"127.0.0.1:1", "255.255.255.255:65535", "[::]:8888", "[2001:db8::1]:80",
                           "[fe80::1%lo]:4", "[::ffff:10.0.0.1]:5"}) {
    const Address once = Address::parse(text, 0);
    const Address twice = Address::parse(once.to_string(), 0);
    ASSERT_EQ(once.size(), twice.size());
    EXPECT_EQ(std::memcmp(once.data(), twice.data(), once.size()), 0) << text;
  }
}

TEST(AddressIsLoopback, KnowsAllFormsOfIt) {
  for (const char* text : {"127.0.0.1", "127.255.1.2", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(Address::resolve(text, 1).is_loopback()) << text;
  }
  for (const char* text :
       {"0.0.0.0", "128.0.0.1", "126.255.255.255", "::", "::2", "::ffff:128.0.0.1", "fe80::1%lo"}) {
    EXPECT_FALSE(Address::resolve(text, 1).is_loopback()) << text;
  }
  EXPECT_FALSE(Address().is_loopback());
}

TEST(AddressDefault, IsNoAddress) {
  EXPECT_EQ(Address().family(), AF_UNSPEC);
  EXPECT_EQ(Address().size(), 0u);
  EXPECT_EQ(Address().port(), 0);
  EXPECT_EQ(Address().to_string(), "unspecified");
}

TEST(AddressFromSockaddr, CopiesNoMoreThanItHolds) {
  std::vector<char> large(sizeof(sockaddr_storage) + 64, '\0');
  const Address lo = Address::resolve("127.0.0.1", 7);
  std::memcpy(large.data(), lo.data(), lo.size());
  const Address copy(reinterpret_cast<const sockaddr*>(large.data()),
                     static_cast<socklen_t>(large.size()));
  EXPECT_EQ(copy.to_string(), "127.0.0.1:7");
  EXPECT_LE(copy.size(), sizeof(sockaddr_storage));
}

TEST(AddressOfSocket, TellsThePortThatTheKernelChose) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(fd, 0);
  const Address any_port = Address::resolve("127.0.0.1", 0);
  ASSERT_EQ(::bind(fd, any_port.data(), any_port.size()), 0);
  const Address bound = Address::of_socket(fd);
  EXPECT_NE(bound.port(), 0);
  EXPECT_EQ(bound.to_string(), "127.0.0.1:" + std::to_string(bound.port()));
  EXPECT_EQ(bound.size(), sizeof(sockaddr_in));
  ::close(fd);
}

TEST(AddressOfSocket, ThrowsWhereThereIsNone) {
  EXPECT_THROW(Address::of_socket(-1), std::system_error);
}

}  // namespace
