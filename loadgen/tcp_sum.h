// What TCP did, over all connections of a run: each is asked once, when it is done with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "net/tcp_info.h"

namespace loadgen {

struct TcpSum {
  std::uint64_t connections = 0;  // that were asked
  std::uint64_t retransmits = 0;
  std::uint64_t segments_out = 0;
  std::uint64_t segments_in = 0;
  std::uint64_t with_segments = 0;  // connections of which the kernel counted segments
  std::uint64_t with_rtt = 0;       // and of which it has measured the RTT
  net::Nanos rtt_sum = 0;
  net::Nanos rtt_min = net::kNever;
  net::Nanos rtt_max = 0;

  void add(const net::TcpInfo& one) {
    ++connections;
    retransmits += one.retransmits;
    if (one.segments_out && one.segments_in) {
      ++with_segments;
      segments_out += *one.segments_out;
      segments_in += *one.segments_in;
    }
    if (one.rtt) {
      ++with_rtt;
      rtt_sum += *one.rtt;
      rtt_min = std::min(rtt_min, *one.rtt);
      rtt_max = std::max(rtt_max, *one.rtt);
    }
  }

  void add(const TcpSum& other) {
    connections += other.connections;
    retransmits += other.retransmits;
    segments_out += other.segments_out;
    segments_in += other.segments_in;
    with_segments += other.with_segments;
    with_rtt += other.with_rtt;
    rtt_sum += other.rtt_sum;
    rtt_min = std::min(rtt_min, other.rtt_min);
    rtt_max = std::max(rtt_max, other.rtt_max);
  }
};

}  // namespace loadgen
