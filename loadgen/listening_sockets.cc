#include "loadgen/listening_sockets.h"

#include <arpa/inet.h>
#include <ifaddrs.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace loadgen {
namespace {

/// IPv4 as ::ffff:a.b.c.d, so that there is one kind of address to compare.
using Ip = std::array<std::uint8_t, 16>;

constexpr Ip kIpv6Any = {};
constexpr Ip kIpv6Loopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr Ip kIpv4Any = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr Ip kIpv4Loopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};

bool is_ipv4(const Ip& ip) { return std::equal(ip.begin(), ip.begin() + 12, kIpv4Any.begin()); }

std::optional<Ip> ip_of(const sockaddr* address) {
  Ip ip = kIpv4Any;
  if (address->sa_family == AF_INET) {
    std::memcpy(&ip[12], &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, 4);
  } else if (address->sa_family == AF_INET6) {
    std::memcpy(ip.data(), &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, ip.size());
  } else {
    return std::nullopt;
  }
  return ip;
}

/// Where a connection really goes: connecting to a wildcard means loopback.
Ip destination(const Ip& ip) {
  if (ip == kIpv4Any) return kIpv4Loopback;
  return ip == kIpv6Any ? kIpv6Loopback : ip;
}

bool is_of_this_machine(const Ip& ip) {
  if (ip == kIpv6Loopback || (is_ipv4(ip) && ip[12] == 127)) return true;
  ifaddrs* interfaces = nullptr;
  if (::getifaddrs(&interfaces) != 0) return false;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(interfaces, &::freeifaddrs);
  for (const ifaddrs* i = interfaces; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr != nullptr && ip_of(i->ifa_addr) == ip) return true;
  }
  return false;
}

struct Listener {
  Ip ip;
  std::string socket;
};

/// "0100007F:22B8" or its IPv6 kin: each four bytes of the address as one number in the machine's
/// byte order, then the port. The address alone; nullopt where the port is another.
std::optional<Ip> address_at_port(std::string_view text, std::uint16_t wanted_port) {
  const std::size_t colon = text.find(':');
  if (colon != 8 && colon != 32) return std::nullopt;
  const auto hex = [](std::string_view digits) {
    std::uint32_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return value;
  };
  if (hex(text.substr(colon + 1)) != wanted_port) return std::nullopt;

  Ip ip = kIpv4Any;
  const std::size_t offset = colon == 8 ? 12 : 0;
  for (std::size_t i = 0; i < colon / 8; ++i) {
    const std::uint32_t word = hex(text.substr(8 * i, 8));
    std::memcpy(&ip[offset + 4 * i], &word, sizeof word);
  }
  return ip;
}

/// The table lists its listening sockets first (Linux, Documentation/networking/proc_net_tcp.rst):
/// tens of thousands of connections after them need not be read.
void add_listeners(const char* table, std::uint16_t port, std::vector<Listener>& listeners) {
  constexpr const char* kListen = "0A";
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream columns(line);
    std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    columns >> slot >> local >> remote >> state;
    if (state != kListen) return;
    columns >> queues >> timer >> retransmits >> uid >> timeout >> inode;
    const auto ip = address_at_port(local, port);
    if (columns && ip) listeners.push_back({*ip, "socket:[" + inode + "]"});
  }
}

}  // namespace

std::set<std::string> listening_sockets(const net::Address& target) {
  const auto ip = ip_of(target.data());
  if (!ip || !is_of_this_machine(destination(*ip))) return {};
  std::vector<Listener> listeners;
  add_listeners("/proc/net/tcp", target.port(), listeners);
  add_listeners("/proc/net/tcp6", target.port(), listeners);

  std::vector<Ip> by_preference = {destination(*ip)};
  if (is_ipv4(*ip)) by_preference.push_back(kIpv4Any);
  by_preference.push_back(kIpv6Any);
  for (const Ip& candidate : by_preference) {
    std::set<std::string> sockets;
    for (const Listener& l : listeners) {
      if (l.ip == candidate) sockets.insert(l.socket);
    }
    if (!sockets.empty()) return sockets;
  }
  return {};
}

}  // namespace loadgen
