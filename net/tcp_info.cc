#include "net/tcp_info.h"

// The kernel's own header: that of glibc, <netinet/tcp.h>, has the struct of Linux 2.6.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

namespace net {

std::optional<TcpInfo> tcp_info(int fd) {
  ::tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  TcpInfo result;
  result.retransmits = info.tcpi_total_retrans;
  if (info.tcpi_rtt != 0) result.rtt = Nanos{info.tcpi_rtt} * kMicrosecond;
  // An older kernel fills in less, and says how much.
  if (size >= offsetof(::tcp_info, tcpi_segs_in) + sizeof info.tcpi_segs_in) {
    result.segments_out = info.tcpi_segs_out;
    result.segments_in = info.tcpi_segs_in;
  }
  return result;
}

}  // namespace net
