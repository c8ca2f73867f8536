// Handshakes that the kernel dropped because the backlog was full. The client's host tries again
// later, so all that is seen of it is a connection that takes a second and more to stand.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>

namespace server {

/// TcpExt ListenOverflows, which counts for all listeners of this network namespace together;
/// nullopt where it can't be read.
std::optional<std::uint64_t> listen_overflows();

/// The same from the text of /proc/net/netstat: lines in pairs, the names above the values.
std::optional<std::uint64_t> listen_overflows_in(std::istream& netstat);

}  // namespace server
