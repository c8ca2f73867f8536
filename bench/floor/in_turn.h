// The floor's way of talking: both ends take the connections in turn, because they know what comes
// next. No event loop, no readiness notification, only the sends and receives that an echo needs.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <system_error>

#include "net/engine.h"
#include "net/fd.h"

namespace bench {

enum class Waiting {
  kBlocking,  // asleep in recv(2)
  kSpinning   // asking again until something is there
};

/// Bytes that a turn moves there and back: of the outstanding messages all, but no more than both
/// ends can have on the way without reading. Throws std::invalid_argument.
inline std::size_t bytes_a_turn(std::size_t message_size, std::size_t pipeline) {
  constexpr std::size_t kMost = 64 * 1024;
  const std::size_t outstanding = message_size * pipeline;
  if (outstanding <= kMost) return outstanding;
  if (pipeline == 1 && message_size % kMost == 0) return kMost;
  throw std::invalid_argument("the floor takes 64 KiB at most in a turn: one message, a multiple");
}

[[noreturn]] inline void fail(const char* call) {
  throw std::system_error(errno, std::generic_category(), call);
}

/// A byte that gets lost ends in EAGAIN, not in a hang.
inline void limit_waiting(int fd) {
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (::setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit) != 0) fail("setsockopt");
  }
}

inline void send_all(const net::Fd& fd, net::Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) fail("send");
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

/// What is there, at least a byte; nothing: FIN has come.
template <Waiting kWaiting>
net::Bytes receive(const net::Fd& fd, std::span<std::byte> buffer) {
  constexpr int kFlags = kWaiting == Waiting::kSpinning ? MSG_DONTWAIT : 0;
  for (;;) {
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), kFlags);
    if (got >= 0) return buffer.first(static_cast<std::size_t>(got));
    if (kWaiting == Waiting::kBlocking || errno != EAGAIN) fail("recv");
  }
}

/// The server's turn: as many bytes as the buffer is long, sent back as they come; false when none
/// come.
template <Waiting kWaiting>
bool echo(const net::Fd& fd, std::span<std::byte> buffer) {
  for (std::size_t left = buffer.size(); left > 0;) {
    const net::Bytes bytes = receive<kWaiting>(fd, buffer.first(left));
    if (bytes.empty()) return false;
    send_all(fd, bytes);
    left -= bytes.size();
  }
  return true;
}

/// The client's turn, before it sends the next.
template <Waiting kWaiting>
void await_reply(const net::Fd& fd, std::span<std::byte> buffer) {
  for (std::size_t left = buffer.size(); left > 0;) {
    const net::Bytes bytes = receive<kWaiting>(fd, buffer.first(left));
    if (bytes.empty()) throw std::runtime_error("the connection ended before the reply");
    left -= bytes.size();
  }
}

}  // namespace bench
