// Which of this machine's sockets would take a connection to an address: the half of "whose server
// is that?" that the kernel's socket tables answer.
#pragma once

#include <set>
#include <string>

#include "net/address.h"

namespace loadgen {

/// The sockets that listen on `target`, as /proc/PID/fd names them ("socket:[12345]"), from
/// /proc/net/tcp and tcp6. Several share an address with SO_REUSEPORT. As in the kernel, a socket
/// bound to the very address goes before an IPv4 wildcard, that before an IPv6 one. Empty where
/// none listens, the tables can't be read, or `target` is not an address of this machine.
///
/// The tables are those of this process's network namespace, and do not tell an IPv6 wildcard that
/// takes IPv4 too from one that does not (IPV6_V6ONLY).
std::set<std::string> listening_sockets(const net::Address& target);

}  // namespace loadgen
