// The whole contract between an engine and the program that stands on it.
//
// An engine moves bytes by completions: a verb asks for something, and a callback of the handler
// says later, from inside poll(), how it ended. Verbs only enqueue; none of them calls a handler,
// so there is no recursion. The caller owns the loop, and both belong to one thread.
//
//   io.listen(fd)        accept from now on; each connection ends up in on_open(io, c)
//   io.connect(addr)     on_open(io, c), or on_close(io, c, errno); addr must live until then;
//                        a second argument says how it sets out (net/socket.h)
//   io.recv(c)           at most one outstanding; on_recv(io, c, bytes); no bytes: the peer's FIN
//   io.send(c, bytes)    at most one outstanding; sends ALL of it; on_sent(io, c)
//   io.shutdown(c)       sends FIN; not while a send is outstanding
//   io.close(c)          on_close(io, c, errno), once and last; what is unsent is dropped
//   io.watch(fd)         on_wake(io) when fd (signalfd, eventfd) becomes readable; drain it there
//   io.poll(h, deadline) one batch of completions, or none if the deadline (net::now()) passes
//
// An error on a connection closes it: on_close(io, c, errno) is the one place where it ends, with
// errno 0 after io.close(c). A verb for a connection that has ended does nothing.
//
// Who owns the bytes: those of on_recv are the engine's, until on_recv returns. A send() of them
// made in on_recv takes them along without a copy; what the kernel can't take at once, the engine
// keeps on the side (64 KiB a connection, but see net/uring_engine.h). All other bytes given to
// send() stay the caller's and must not change until on_sent or on_close.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "net/address.h"
#include "net/clock.h"
#include "net/fd.h"
#include "net/socket.h"

namespace net {

/// Names a connection. Slots are small and used again; the generation keeps a late completion, or
/// a stale id, from reaching the slot's next connection.
struct ConnId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  // 0: no connection
  bool operator==(const ConnId&) const = default;
};

using Bytes = std::span<const std::byte>;

/// The asked backend cannot work here; the text says why ("kernel.io_uring_disabled=2"). Thrown by
/// an engine's constructor.
struct BackendUnavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Events that are rare and worth knowing; counted since the engine was made.
struct EngineCounters {
  std::uint64_t accepted = 0;
  std::uint64_t accept_failures = 0;  // EMFILE, ENFILE, ENOBUFS ...: accepting paused for a while
  int last_accept_errno = 0;
  std::uint64_t waits = 0;      // system calls that fetched completions
  std::uint64_t parked = 0;     // sends that the kernel could not take at once
  std::uint64_t starved = 0;    // receives that found no provided buffer (io_uring)
  std::uint64_t overflows = 0;  // polls that found the completion queue overflown (io_uring)
};

template <class H, class IO>
concept Handler = requires(H h, IO& io, ConnId c, Bytes bytes, int error) {
  h.on_open(io, c);
  h.on_recv(io, c, bytes);
  h.on_sent(io, c);
  h.on_close(io, c, error);
  h.on_wake(io);
};

/// A handler whose on_sent(io, c) does nothing but io.recv(c) may say so with a member function
/// `bool sent_only_asks_for_more() const`. An engine may then put on_sent off until it can matter:
/// it need not wake up for it.
template <class H>
bool sent_can_wait(const H& handler) {
  if constexpr (requires { handler.sent_only_asks_for_more(); }) {
    return handler.sent_only_asks_for_more();
  } else {
    return false;
  }
}

/// The time that deadlines and stamps of this engine are in: net::now(), unless it has a clock of
/// its own.
template <class IO>
Nanos now(const IO& io) {
  if constexpr (requires { io.now(); }) {
    return io.now();
  } else {
    return now();
  }
}

/// Bytes on their way that the peer's host has not acknowledged (ioctl_tcp(7), SIOCOUTQ), unless
/// the engine has a network of its own.
template <class IO>
std::size_t unacknowledged(const IO& io, ConnId c) {
  if constexpr (requires { io.unacknowledged(c); }) {
    return io.unacknowledged(c);
  } else {
    return static_cast<std::size_t>(unacknowledged_bytes(io.fd(c)));
  }
}

/// What a server needs that answers each connection in turns: it asks for a recv or for a send, and
/// for nothing else until that is done.
template <class IO>
concept ServerEngine = requires(IO io, const IO& cio, Fd fd, ConnId c, Bytes bytes, Nanos* stamp) {
  io.listen(std::move(fd));
  io.stop_listening();
  io.watch(fd.get());
  io.recv(c);
  io.send(c, bytes);
  io.send(c, bytes, stamp);  // *stamp = now(), right before the bytes are handed to the kernel
  io.shutdown(c);
  io.close(c);

  // When the completion that on_recv reports came back, and how far off that can be: completions
  // fetched by one system call share one stamp, and its duration is the error.
  { cio.completed_at() } -> std::same_as<Nanos>;
  { cio.completed_span() } -> std::same_as<Nanos>;

  { cio.fd(c) } -> std::same_as<int>;  // for getsockopt(2) and ioctl(2) only; -1: has ended
  { cio.unread(c) } -> std::same_as<std::size_t>;  // received by this host, not yet by the handler
  { cio.counters() } -> std::same_as<const EngineCounters&>;
  { cio.description() } -> std::same_as<std::string>;  // "epoll", "io_uring: defer_taskrun ..."
};

/// The whole contract: connects too, and receives while it sends.
template <class IO>
concept Engine = ServerEngine<IO> &&
    requires(IO io, const Address& addr, const Departure& departure) {
  { io.connect(addr) } -> std::same_as<ConnId>;
  { io.connect(addr, departure) } -> std::same_as<ConnId>;
};

}  // namespace net
