// What TCP itself knows of a connection (TCP_INFO, tcp(7)): what it measured and what it had to
// repeat. Without it, a latency that comes from a lost segment looks like a slow server.
#pragma once

#include <cstdint>
#include <optional>

#include "net/clock.h"

namespace net {

/// nullopt: the kernel does not say, or has no sample yet.
struct TcpInfo {
  std::uint32_t retransmits = 0;              // segments sent again (tcpi_total_retrans)
  std::optional<Nanos> rtt;                   // smoothed (RFC 6298), in whole microseconds
  std::optional<std::uint32_t> segments_out;  // bare acknowledgements included (Linux 4.2)
  std::optional<std::uint32_t> segments_in;
};

/// nullopt where `fd` is no TCP socket.
std::optional<TcpInfo> tcp_info(int fd);

}  // namespace net
