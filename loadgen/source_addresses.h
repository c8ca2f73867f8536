// Where connections come from, when many are made one after another (--churn).
//
// Who closes first keeps the connection in TIME_WAIT for a minute (RFC 9293, 3.6.1), and its port
// cannot be used towards the same peer for as long. An echo server closes after its client, so the
// ports are the client's: 28,232 by default (net.ipv4.ip_local_port_range), used up in a second.
//
// The usual ways out falsify what is measured: to close with a reset (SO_LINGER, 0 s) takes another
// path through the server, and ends the lecture's loop with ConnectionResetError. On loopback there
// is an honest one: all of 127.0.0.0/8 is this host, and each address has its own ports. Linux also
// takes a port out of TIME_WAIT again after a second, on loopback by default since 4.19
// (net.ipv4.tcp_tw_reuse=2, Documentation/networking/ip-sysctl.rst), so that a few addresses do.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "net/address.h"

namespace loadgen {

class SourceAddresses {
 public:
  /// Four addresses: 113,000 connections a second with tcp_tw_reuse, which no core can make.
  static constexpr std::size_t kAtFirst = 4;
  /// Two million connections a minute without it.
  static constexpr std::size_t kMost = 64;

  /// Towards a host that is not 127.0.0.0/8 the system chooses.
  explicit SourceAddresses(const net::Address& target) {
    if (!target.is_loopback() || target.family() != AF_INET) return;
    for (std::uint32_t i = 0; i < kMost; ++i) {
      sockaddr_in source{};
      source.sin_family = AF_INET;
      source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
      addresses_.emplace_back(reinterpret_cast<const sockaddr*>(&source), sizeof source);
    }
  }

  /// Of those in use the next; nullptr: the system's choice. Valid as long as this.
  const net::Address* next() {
    if (addresses_.empty()) return nullptr;
    next_ = next_ + 1 < in_use_ ? next_ + 1 : 0;
    return &addresses_[next_];
  }

  /// A connect ended in EADDRNOTAVAIL: all ports of an address are taken. Takes more addresses into
  /// use; false where there are no more.
  bool widen() {
    if (in_use_ >= addresses_.size()) return false;
    in_use_ = std::min(2 * in_use_, addresses_.size());
    return true;
  }

 private:
  std::vector<net::Address> addresses_;
  std::size_t in_use_ = kAtFirst;
  std::size_t next_ = kAtFirst - 1;
};

}  // namespace loadgen
