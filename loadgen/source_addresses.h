// Where connections come from, when many are made one after another (--churn), or at once.
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
//
// And where more than half of an address's ports are in use, connect(2) searches long for one more
// (__inet_hash_connect: first among those of one parity): 19,000 connections took seconds to make.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "net/address.h"

namespace loadgen {

class SourceAddresses {
 public:
  /// So many at once need no more than one.
  static constexpr std::size_t kFew = 8'000;
  /// Used in turn: 113,000 connections a second with tcp_tw_reuse, more than a core can make.
  static constexpr std::size_t kSet = 4;
  /// When those have no port left, the next ones: 1.8 million connections a minute without it.
  static constexpr std::size_t kSets = 16;

  /// Towards a host that is not 127.0.0.0/8 the system chooses.
  explicit SourceAddresses(const net::Address& target) {
    if (!target.is_loopback() || target.family() != AF_INET) return;
    for (std::uint32_t i = 0; i < kSet * kSets; ++i) {
      sockaddr_in source{};
      source.sin_family = AF_INET;
      source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
      addresses_.emplace_back(reinterpret_cast<const sockaddr*>(&source), sizeof source);
    }
  }

  /// The next one, of set(); nullptr: the system's choice. Valid as long as this.
  const net::Address* next() {
    if (addresses_.empty()) return nullptr;
    turn_ = (turn_ + 1) % kSet;
    return &addresses_[set_ * kSet + turn_];
  }
  std::size_t set() const { return set_; }

  /// A connect from an address of that set ended in EADDRNOTAVAIL: all its ports are taken. False:
  /// those of all others too, else it is worth another try.
  bool used_up(std::size_t set) {
    if (addresses_.empty() || vain_ == kSets) return false;
    if (set != set_) return true;  // the next set is in use already
    set_ = (set_ + 1) % kSets;
    return ++vain_ < kSets;
  }

  /// A connect was successful.
  void had_port() { vain_ = 0; }

 private:
  std::vector<net::Address> addresses_;
  std::size_t set_ = 0;
  std::size_t turn_ = kSet - 1;
  std::size_t vain_ = 0;  // sets that were left since a connect was successful
};

}  // namespace loadgen
