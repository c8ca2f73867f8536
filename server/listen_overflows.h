// Handshakes that the kernel dropped because the backlog was full. The client's host tries again
// later, so all that is seen of it is a connection that takes a second and more to stand.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "net/fd.h"

namespace server {

class ListenOverflows {
 public:
  /// Opens /proc/net/netstat, for later there may be neither descriptors nor a file system.
  ListenOverflows();

  /// TcpExt ListenOverflows since this was made, over all listeners of the network namespace;
  /// nullopt where it can't be read.
  std::optional<std::uint64_t> since_start() const;

 private:
  std::optional<std::uint64_t> count() const;

  net::Fd netstat_;
  std::uint64_t before_ = 0;
};

/// From the text of /proc/net/netstat: lines in pairs, the names above the values.
std::optional<std::uint64_t> listen_overflows_in(std::string_view netstat);

}  // namespace server
