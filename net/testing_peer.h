// The other end of a connection in the tests of the engines: plain POSIX sockets, nothing of what
// is being tested. Where a peer waits, it does so for kPatience at most, so that a test fails
// instead of hanging.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "net/address.h"
#include "net/clock.h"
#include "net/fd.h"

namespace net::test {

inline constexpr Nanos kPatience = 10 * kSecond;

/// `size` bytes of stream number `stream`, from byte number `from` on. A byte out of its place is
/// almost always another byte.
inline std::string pattern(std::uint64_t stream, std::size_t size, std::uint64_t from = 0) {
  const std::size_t skip = from % sizeof(std::uint64_t);
  std::string text;
  text.resize(skip + size + sizeof(std::uint64_t));
  for (std::size_t at = 0; at < skip + size; at += sizeof(std::uint64_t)) {
    std::uint64_t z = (stream << 40) + (from - skip + at) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;  // SplitMix64
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    std::memcpy(text.data() + at, &z, sizeof z);
  }
  return text.substr(skip, size);
}

inline Address local(const char* host = "127.0.0.1") { return Address::resolve(host, 0); }

/// Waits for any of these poll(2) events.
inline bool ready_for(int fd, short events, Nanos patience = kPatience) {
  pollfd one{.fd = fd, .events = events, .revents = 0};
  return ::poll(&one, 1, static_cast<int>(patience / kMillisecond)) == 1;
}

class Peer {
 public:
  Peer() = default;
  explicit Peer(Fd fd) : fd_(std::move(fd)) { ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK); }

  /// Connects, or tries to: error() tells. A `receive_buffer` (0: the system's choice) bounds what
  /// such a peer takes without reading; it also sends no more than some 64 KiB ahead.
  explicit Peer(const Address& address, int receive_buffer = 0)
      : fd_(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (!fd_) throw std::system_error(errno, std::generic_category(), "socket");
    if (receive_buffer > 0) {
      set_option(SO_RCVBUF, receive_buffer);
      set_option(SO_SNDBUF, 64 * 1024);
    }
    if (::connect(fd_.get(), address.data(), address.size()) != 0) error_ = errno;
    ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }

  int fd() const { return fd_.get(); }

  /// What ended the connection, where that was no FIN.
  int error() const { return error_; }
  /// The other end's FIN was read.
  bool at_end() const { return at_end_; }

  // ---- at once, as far as it goes

  std::size_t try_send(std::string_view bytes) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) error_ = errno;
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }

  std::string try_receive(std::size_t most = 64 * 1024) {
    std::string bytes(most, '\0');
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got == 0 && most > 0) at_end_ = true;
    if (got < 0 && errno != EAGAIN) error_ = errno;
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }

  // ---- waiting

  /// Only for as much as socket buffers take while nobody reads.
  bool send(std::string_view bytes) {
    while (!bytes.empty() && error_ == 0) {
      if (!ready_for(fd_.get(), POLLOUT)) return false;
      bytes.remove_prefix(try_send(bytes));
    }
    return bytes.empty();
  }

  /// So many bytes, or fewer if the connection ends.
  std::string receive(std::size_t size) {
    std::string bytes;
    while (bytes.size() < size && !ended() && ready_for(fd_.get(), POLLIN)) {
      bytes += try_receive(size - bytes.size());
    }
    return bytes;
  }

  /// Everything until the connection ends; then ended() is true.
  std::string receive_all() {
    std::string bytes;
    while (!ended() && ready_for(fd_.get(), POLLIN)) bytes += try_receive();
    return bytes;
  }

  bool ended() const { return at_end_ || error_ != 0; }

  // ---- ending

  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  /// Ends the connection with RST instead of FIN.
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    fd_.reset();
  }

  void set_option(int option, int value) {
    ::setsockopt(fd_.get(), SOL_SOCKET, option, &value, sizeof value);
  }

 private:
  Fd fd_;
  int error_ = 0;
  bool at_end_ = false;
};

/// So many that have connected, whether or not they were accepted.
inline std::vector<Peer> peers(std::size_t count, const Address& address) {
  std::vector<Peer> all;
  all.reserve(count);
  while (all.size() < count) all.emplace_back(address);
  return all;
}

/// A peer that sends a pattern of its own and compares what comes with the same pattern.
class PatternPeer {
 public:
  PatternPeer(Peer peer, std::uint64_t stream) : peer_(std::move(peer)), stream_(stream) {}

  Peer& peer() { return peer_; }
  std::size_t sent() const { return sent_; }
  std::size_t received() const { return received_; }
  /// All that came was what should have come.
  bool intact() const { return intact_; }
  bool has_all_back() const { return intact_ && received_ == sent_; }

  /// Sends up to so many bytes, as far as it goes at once.
  void try_send(std::size_t most) {
    if (ready_for(peer_.fd(), POLLOUT, 0)) sent_ += peer_.try_send(pattern(stream_, most, sent_));
  }

  void try_receive(std::size_t most = 64 * 1024) {
    const std::string got = peer_.try_receive(most);
    if (got != pattern(stream_, got.size(), received_)) intact_ = false;
    received_ += got.size();
  }

 private:
  Peer peer_;
  std::uint64_t stream_;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
  bool intact_ = true;
};

/// A listening socket of the other end.
class PeerListener {
 public:
  explicit PeerListener(const Address& where, int backlog = 128)
      : fd_(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    if (::bind(fd_.get(), where.data(), where.size()) != 0) {
      throw std::system_error(errno, std::generic_category(), "bind");
    }
    if (backlog >= 0 && ::listen(fd_.get(), backlog) != 0) {
      throw std::system_error(errno, std::generic_category(), "listen");
    }
    address_ = Address::of_socket(fd_.get());
  }

  const Address& address() const { return address_; }

  /// A connection that has come, if one has.
  bool try_accept(Peer& peer) {
    Fd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) return false;
    peer = Peer(std::move(fd));
    return true;
  }

 private:
  Fd fd_;
  Address address_;
};

/// Has an address at which nobody listens.
class Refusal {
 public:
  Refusal() : bound_(local(), -1) {}
  const Address& address() const { return bound_.address(); }

 private:
  PeerListener bound_;
};

}  // namespace net::test
