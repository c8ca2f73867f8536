#include "net/socket.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>

namespace net {
namespace {

void enable(int fd, int level, int option) {
  const int on = 1;
  ::setsockopt(fd, level, option, &on, sizeof on);
}

void set_stream_options(int fd) {
  enable(fd, IPPROTO_TCP, TCP_NODELAY);
  enable(fd, SOL_SOCKET, SO_OOBINLINE);
}

[[noreturn]] void fail(const char* call, const Address& address) {
  throw std::system_error(errno, std::generic_category(),
                          std::string("cannot ") + call + " " + address.to_string());
}

/// -1 where there is none, or it is no socket.
int socket_option(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

int queue_length(int fd, unsigned long request) {
  int bytes = 0;
  return ::ioctl(fd, request, &bytes) == 0 ? bytes : 0;
}

}  // namespace

Fd listen_on(const Address& address, int backlog, Port port) {
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) fail("make a socket for", address);
  enable(fd.get(), SOL_SOCKET, SO_REUSEADDR);
  if (port == Port::kShared) enable(fd.get(), SOL_SOCKET, SO_REUSEPORT);
  set_stream_options(fd.get());
  if (::bind(fd.get(), address.data(), address.size()) != 0) fail("bind to", address);
  if (::listen(fd.get(), backlog) != 0) fail("listen on", address);
  return fd;
}

Fd adopt_listener(Fd fd) {
  const int family = socket_option(fd.get(), SO_DOMAIN);
  if ((family != AF_INET && family != AF_INET6) ||
      socket_option(fd.get(), SO_TYPE) != SOCK_STREAM ||
      socket_option(fd.get(), SO_ACCEPTCONN) != 1) {
    throw std::runtime_error("descriptor " + std::to_string(fd.get()) +
                             " is no TCP socket that listens");
  }
  ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  set_stream_options(fd.get());
  return fd;
}

Fd socket_for(const Address& address, Mode mode, const Departure& departure) {
  const int nonblocking = mode == Mode::kNonBlocking ? SOCK_NONBLOCK : 0;
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | nonblocking, 0));
  if (fd) set_stream_options(fd.get());
  if (fd && departure.hop_limit > 0) {
    const bool v6 = address.family() == AF_INET6;
    ::setsockopt(fd.get(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_UNICAST_HOPS : IP_TTL,
                 &departure.hop_limit, sizeof departure.hop_limit);
  }
  if (fd && departure.source != nullptr) {
    enable(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    const Address& source = *departure.source;
    if (::bind(fd.get(), source.data(), source.size()) != 0) return Fd();
  }
  return fd;
}

void keep_syn(int listener) {
  const int on = 1;
  ::setsockopt(listener, IPPROTO_TCP, TCP_SAVE_SYN, &on, sizeof on);
}

int hop_limit_of_syn(int fd) {
  std::array<std::uint8_t, 128> syn{};  // from the IP header on
  socklen_t size = syn.size();
  if (::getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, syn.data(), &size) != 0 || size < 20) return 0;
  const bool v6 = syn[0] >> 4 == 6;
  return v6 ? syn[7] : syn[8];
}

void reset_on_close(int fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void set_mode(int fd, Mode mode) {
  const int flags = ::fcntl(fd, F_GETFL);
  const int wanted = mode == Mode::kNonBlocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (flags < 0 || (wanted != flags && ::fcntl(fd, F_SETFL, wanted) != 0)) {
    throw std::system_error(errno, std::generic_category(), "cannot set the mode of a socket");
  }
}

bool is_of_connection(int accept_errno) {
  switch (accept_errno) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPERM:
      return true;
    default:
      return false;
  }
}

int pending_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

bool is_connected_to_itself(int fd) {
  sockaddr_storage own{};
  sockaddr_storage peer{};
  socklen_t own_size = sizeof own;
  socklen_t peer_size = sizeof peer;
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
         ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 &&
         own_size == peer_size && std::memcmp(&own, &peer, own_size) == 0;
}

int unread_bytes(int fd) { return queue_length(fd, SIOCINQ); }

int unacknowledged_bytes(int fd) { return queue_length(fd, SIOCOUTQ); }

}  // namespace net
