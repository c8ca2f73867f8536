// TCP sockets as both programs want them: listening, connecting, and what each inherits.
#pragma once

#include <cstdint>

#include "net/address.h"
#include "net/fd.h"

namespace net {

/// epoll needs non-blocking sockets. io_uring must not have them: it would answer EAGAIN where it
/// otherwise waits for readiness itself.
enum class Mode { kNonBlocking, kBlocking };

/// Whether other processes of the same user may listen on the port too: the kernel then deals the
/// connections out among them by a hash of both addresses (SO_REUSEPORT, socket(7), Linux 3.9).
enum class Port { kOwn, kShared };

/// socket, bind, listen. Accepted connections inherit TCP_NODELAY (or Nagle's algorithm would meet
/// the delayed ACK: 40 ms a message, tcp(7)) and SO_OOBINLINE (an echo returns urgent bytes too).
/// SO_REUSEADDR lets a restarted server bind while old connections are in TIME_WAIT. An IPv6
/// wildcard takes IPv4 as well. Throws std::system_error that names the address.
Fd listen_on(const Address& address, int backlog, Port port = Port::kOwn);

/// Takes a listener that somebody else made, and sets what listen_on() sets for what it accepts.
/// The port, the backlog and SO_REUSEPORT stay as they are. Throws std::runtime_error where the
/// descriptor is no TCP socket that listens.
Fd adopt_listener(Fd fd);

/// How a connection sets out, where that is not left to the system.
struct Departure {
  int hop_limit = 0;                // its packets start with (IP_TTL, ip(7)); 0: the system's
  const Address* source = nullptr;  // of the peer's family; with port 0 any that is free towards it
};

/// A socket for connecting to `address`, with the same options. Descriptor -1 and errno on failure.
///
/// A source address without a port gets its port from connect(2) (IP_BIND_ADDRESS_NO_PORT, ip(7),
/// Linux 4.2): only there is it known which ones are free towards this peer.
Fd socket_for(const Address& address, Mode mode, const Departure& departure = {});

/// Connections that this listener accepts can say with which hop limit their SYN came here
/// (TCP_SAVE_SYN, Linux 4.2).
void keep_syn(int listener);
/// That hop limit, once per connection; 0 where it is not known.
int hop_limit_of_syn(int fd);

/// A close from now on is a reset (SO_LINGER with 0 s, socket(7)), and drops what is unsent.
void reset_on_close(int fd);

/// Throws std::system_error.
void set_mode(int fd, Mode mode);

/// Whether an error of accept(2) is one of the connection, that died in the backlog, so that the
/// next may be well. All others (EMFILE, ENFILE, ENOBUFS, ENOMEM) call for a pause.
bool is_of_connection(int accept_errno);

/// What connect(2), send(2) or recv(2) left on the socket; 0 if nothing.
int pending_error(int fd);

/// Towards a port of this host on which nobody listens, connect(2) may be given that very port to
/// set out from, and a SYN that meets itself makes a connection (RFC 9293, 3.5). It would return
/// all that is sent, as an echo server does, and hold the server's port: such a one is to be
/// refused.
bool is_connected_to_itself(int fd);

/// Bytes that this host has received and nobody has read yet (SIOCINQ, tcp(7)).
int unread_bytes(int fd);

/// Bytes sent that the peer has not acknowledged yet (SIOCOUTQ, tcp(7)).
int unacknowledged_bytes(int fd);

}  // namespace net
