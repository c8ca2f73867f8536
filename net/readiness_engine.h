// Completions over readiness: try, and park on EAGAIN. What epoll and poll have in common, which is
// all but the way of asking who is ready: that is the `Readiness` (net/epoll_engine.h,
// net/poll_engine.h).
//
// The steady state costs two system calls a message, recv and send, plus one wait a batch. A
// receive that returns less than it asked for has emptied the socket, so no recv is spent on
// reading EAGAIN (epoll(7)); the exception is a socket whose event said that something stands
// behind the data, FIN or an urgent mark, at which a receive stops short.
//
// All connections share one receive buffer: an idle connection costs its table slot and no more.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "net/conn_table.h"
#include "net/engine.h"
#include "net/parked_send.h"
#include "net/socket.h"

namespace net {

/// A descriptor that is ready: the tag it was added with, and why (EPOLLIN, EPOLLOUT ...).
struct Ready {
  std::uint64_t tag;
  std::uint32_t events;
};

/// Tells each change of a descriptor once, as edge-triggered epoll does: what was told is told
/// again only when rearmed after EAGAIN, or when more has come.
template <class R>
concept Readiness = requires(R r, int fd, std::uint64_t tag, bool yes, Nanos timeout) {
  { r.add(fd, tag, yes) } -> std::same_as<bool>;  // false: errno; yes: writability, too
  { r.watch_writable(fd, tag) } -> std::same_as<bool>;
  r.rearm_readable(fd);
  r.rearm_writable(fd);
  r.remove(fd);  // right before close(2)

  { r.add_level(fd, tag) } -> std::same_as<bool>;       // told for as long as it is readable
  { r.set_level(fd, tag, yes) } -> std::same_as<bool>;  // no: not told for now

  { r.wait(timeout) } -> std::same_as<int>;  // how many are ready; kNever: no timeout
  { r.ready(0) } -> std::same_as<Ready>;
  { R::kName } -> std::convertible_to<const char*>;
};

template <Readiness R>
class ReadinessEngine {
 public:
  static constexpr const char* kName = R::kName;

  /// `spin`: how long to look again before sleeping (net/busy_poll.h). Throws std::system_error.
  explicit ReadinessEngine(Nanos spin)
      : spin_(spin), buffer_(std::make_unique<std::byte[]>(kReceiveBuffer)) {}
  ~ReadinessEngine();
  ReadinessEngine(const ReadinessEngine&) = delete;
  ReadinessEngine& operator=(const ReadinessEngine&) = delete;

  void listen(Fd listener);
  void stop_listening();
  ConnId connect(const Address& address, const Departure& departure = {});
  void watch(int fd);

  void recv(ConnId id);
  void send(ConnId id, Bytes bytes, Nanos* stamp = nullptr);
  void shutdown(ConnId id);
  void close(ConnId id);

  template <class H>
  void poll(H& handler, Nanos deadline);

  Nanos completed_at() const { return now(); }
  Nanos completed_span() const { return 0; }
  int fd(ConnId id) const;
  std::size_t unread(ConnId id) const;
  const EngineCounters& counters() const { return counters_; }
  std::string description() const { return kName; }

 private:
  static constexpr std::size_t kReceiveBuffer = 64 * 1024;
  static constexpr int kAcceptBatch = 64;
  static constexpr Nanos kAcceptPause = 100 * kMillisecond;

  struct Conn {
    int fd = -1;
    std::uint32_t generation = 0;
    int error = 0;
    bool connecting : 1 = false;
    bool opened : 1 = false;           // on_open is due
    bool readable : 1 = false;         // recv would not give EAGAIN, as far as is known
    bool short_read_lies : 1 = false;  // FIN or an urgent mark stands behind the data
    bool wants_recv : 1 = false;
    bool sent : 1 = false;  // on_sent is due
    bool watches_writable : 1 = false;
    bool closing : 1 = false;
    bool queued : 1 = false;  // is in due_
    std::unique_ptr<ParkedSend> parked;
  };

  // The tag of what is watched: a connection, or one of the two other things.
  static constexpr std::uint64_t kListenerTag = ~std::uint64_t{0};
  static constexpr std::uint64_t kWatchTag = kListenerTag - 1;
  static std::uint64_t tag_of(ConnId id) { return std::uint64_t{id.generation} << 32 | id.slot; }
  static ConnId id_of(std::uint64_t tag) {
    return {static_cast<std::uint32_t>(tag), static_cast<std::uint32_t>(tag >> 32)};
  }

  /// The one that is being served. Most verbs are for it, so it is looked up once a batch; and it
  /// need not be in due_.
  struct Current {
    ConnId id;
    Conn* conn = nullptr;
  };
  Conn* find(ConnId id) { return id == current_.id ? current_.conn : table_.find(id); }

  int wait(Nanos deadline);
  int sleep(Nanos deadline);
  void arrived(ConnId id, Conn& conn, std::uint32_t events);
  void connected(ConnId id, Conn& conn);
  template <class H>
  void serve(H& handler, ConnId id, Conn& conn);
  template <class H>
  void receive(H& handler, ConnId id, Conn& conn);
  template <class H>
  void finish(H& handler, ConnId id, Conn& conn);

  void accept_some();
  bool accepted(int fd);
  void pause_accepting(int error);
  void resume_accepting();
  ConnId adopt(int fd);
  void begin(ConnId id, Conn& conn);
  void drained(Conn& conn);
  void park(ConnId id, Conn& conn, Bytes rest);
  void flush(ConnId id, Conn& conn);
  void fail(ConnId id, Conn& conn, int error);
  void enqueue(ConnId id, Conn& conn);
  void put_in_line(ConnId id);
  bool in_receive_buffer(Bytes bytes) const;

  R readiness_;
  Fd listener_;
  Nanos accept_again_at_ = kNever;
  Nanos spin_;
  Nanos last_event_ = 0;
  ConnTable<Conn> table_;
  std::vector<ConnId> due_;      // connections with something to do that no event will announce
  std::vector<ConnId> serving_;  // the part of due_ that is being served
  Current current_;
  std::unique_ptr<std::byte[]> buffer_;
  EngineCounters counters_;
};

// ---- a batch

template <Readiness R>
template <class H>
void ReadinessEngine<R>::poll(H& handler, Nanos deadline) {
  static_assert(Handler<H, ReadinessEngine>);
  const int ready = wait(deadline);
  bool woken = false;
  for (int i = 0; i < ready; ++i) {
    const auto [tag, events] = readiness_.ready(i);
    if (tag == kListenerTag) {
      accept_some();
    } else if (tag == kWatchTag) {
      woken = true;
    } else {
      const ConnId id = id_of(tag);
      Conn* conn = table_.find(id);
      if (conn == nullptr) continue;
      current_ = {id, conn};
      arrived(id, *conn, events);
      serve(handler, id, *conn);
    }
  }
  serving_.swap(due_);
  // A handler that connects may let the list move. NOLINTNEXTLINE(modernize-loop-convert)
  for (std::size_t i = 0; i < serving_.size(); ++i) {
    const ConnId id = serving_[i];
    Conn* conn = table_.find(id);
    if (conn == nullptr) continue;
    conn->queued = false;
    current_ = {id, conn};
    serve(handler, id, *conn);
  }
  current_ = Current{};
  serving_.clear();
  if (woken) handler.on_wake(*this);
}

template <Readiness R>
template <class H>
[[gnu::always_inline]] inline void ReadinessEngine<R>::serve(H& handler, ConnId id, Conn& conn) {
  if (conn.opened) {
    conn.opened = false;
    handler.on_open(*this, id);
  }
  if (conn.readable && conn.wants_recv) receive(handler, id, conn);
  if (conn.sent) {
    conn.sent = false;
    handler.on_sent(*this, id);
  }
  if (conn.closing) {
    finish(handler, id, conn);
  } else if (conn.sent || (conn.readable && conn.wants_recv)) {
    current_ = Current{};
    enqueue(id, conn);  // the others first
  }
}

template <Readiness R>
template <class H>
[[gnu::always_inline]] inline void ReadinessEngine<R>::receive(H& handler, ConnId id, Conn& conn) {
  const ssize_t got = ::recv(conn.fd, buffer_.get(), kReceiveBuffer, 0);
  if (got >= 0) {
    // Emptied, unless there is nothing but FIN: that is told again to who asks again.
    const auto size = static_cast<std::size_t>(got);
    if (size > 0 && size < kReceiveBuffer && !conn.short_read_lies) drained(conn);
    conn.wants_recv = false;
    handler.on_recv(*this, id, Bytes(buffer_.get(), size));
  } else if (errno == EAGAIN) {
    drained(conn);
    conn.short_read_lies = false;
  } else if (errno != EINTR) {
    fail(id, conn, errno);
  }
}

template <Readiness R>
void ReadinessEngine<R>::drained(Conn& conn) {
  conn.readable = false;
  readiness_.rearm_readable(conn.fd);
}

template <Readiness R>
template <class H>
[[gnu::noinline]] void ReadinessEngine<R>::finish(H& handler, ConnId id, Conn& conn) {
  const int error = conn.error;
  readiness_.remove(conn.fd);
  ::close(conn.fd);
  conn.fd = -1;
  handler.on_close(*this, id, error);
  table_.free(id);
  current_ = Current{};
  if (accept_again_at_ != kNever) accept_again_at_ = 0;  // a descriptor has come free
}

template <Readiness R>
ReadinessEngine<R>::~ReadinessEngine() {
  for (std::uint32_t slot = 0; slot < table_.slots(); ++slot) {
    if (table_[slot].fd >= 0) ::close(table_[slot].fd);
  }
}

// ---- accepting and connecting

template <Readiness R>
void ReadinessEngine<R>::listen(Fd listener) {
  listener_ = std::move(listener);
  set_mode(listener_.get(), Mode::kNonBlocking);
  // Level-triggered: what one batch leaves in the backlog is announced again.
  if (!readiness_.add_level(listener_.get(), kListenerTag)) {
    throw std::system_error(errno, std::generic_category(), "cannot watch the listening socket");
  }
}

template <Readiness R>
void ReadinessEngine<R>::stop_listening() {
  if (listener_) readiness_.remove(listener_.get());
  listener_.reset();
  accept_again_at_ = kNever;
}

template <Readiness R>
void ReadinessEngine<R>::watch(int fd) {
  if (!readiness_.add_level(fd, kWatchTag)) {
    throw std::system_error(errno, std::generic_category(), "cannot watch a descriptor");
  }
}

template <Readiness R>
void ReadinessEngine<R>::accept_some() {
  for (int i = 0; i < kAcceptBatch && listener_; ++i) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      if (!accepted(fd)) return pause_accepting(ENOMEM);
      continue;
    }
    if (errno == EAGAIN) return;
    if (!is_of_connection(errno)) return pause_accepting(errno);
    ++counters_.accept_failures;
    counters_.last_accept_errno = errno;
  }
}

/// False where there is no memory for it: this connection is lost.
template <Readiness R>
bool ReadinessEngine<R>::accepted(int fd) {
  try {
    const ConnId id = adopt(fd);
    ++counters_.accepted;
    begin(id, table_[id.slot]);
    return true;
  } catch (const std::bad_alloc&) {
    ::close(fd);
    return false;
  }
}

// Without descriptors or memory the listener stays readable and would be announced without end.
template <Readiness R>
void ReadinessEngine<R>::pause_accepting(int error) {
  ++counters_.accept_failures;
  counters_.last_accept_errno = error;
  readiness_.set_level(listener_.get(), kListenerTag, false);
  accept_again_at_ = now() + kAcceptPause;
}

template <Readiness R>
void ReadinessEngine<R>::resume_accepting() {
  const bool told = readiness_.set_level(listener_.get(), kListenerTag, true);
  accept_again_at_ = told ? kNever : now() + kAcceptPause;
}

template <Readiness R>
ConnId ReadinessEngine<R>::connect(const Address& address, const Departure& departure) {
  Fd fd = socket_for(address, Mode::kNonBlocking, departure);
  const int socket_error = fd ? 0 : errno;
  const ConnId id = adopt(fd.get());
  fd.release();
  Conn& conn = table_[id.slot];
  if (socket_error != 0) {
    fail(id, conn, socket_error);
  } else if (::connect(conn.fd, address.data(), address.size()) == 0) {
    begin(id, conn);
    if (is_connected_to_itself(conn.fd)) fail(id, conn, ECONNREFUSED);
  } else if (errno != EINPROGRESS) {
    fail(id, conn, errno);
  } else {
    conn.connecting = true;
    conn.watches_writable = true;
    if (!readiness_.add(conn.fd, tag_of(id), true)) fail(id, conn, errno);
  }
  return id;
}

/// With a place in every list for everyone, no verb needs memory later.
template <Readiness R>
ConnId ReadinessEngine<R>::adopt(int fd) {
  due_.reserve(table_.places());
  serving_.reserve(table_.places());
  const ConnId id = table_.add();
  table_[id.slot].fd = fd;
  return id;
}

/// A connection stands: it is watched from now on, and on_open is due.
template <Readiness R>
void ReadinessEngine<R>::begin(ConnId id, Conn& conn) {
  conn.opened = true;
  if (!readiness_.add(conn.fd, tag_of(id), false)) fail(id, conn, errno);
  enqueue(id, conn);
}

template <Readiness R>
[[gnu::noinline]] void ReadinessEngine<R>::connected(ConnId id, Conn& conn) {
  conn.connecting = false;
  const int error = pending_error(conn.fd);
  if (error != 0) return fail(id, conn, error);
  if (is_connected_to_itself(conn.fd)) return fail(id, conn, ECONNREFUSED);
  conn.opened = true;
}

// ---- the verbs

template <Readiness R>
[[gnu::always_inline]] inline void ReadinessEngine<R>::recv(ConnId id) {
  Conn* conn = find(id);
  if (conn == nullptr || conn->closing) return;
  conn->wants_recv = true;
  if (conn->readable) enqueue(id, *conn);
}

template <Readiness R>
[[gnu::always_inline]] inline void ReadinessEngine<R>::send(ConnId id, Bytes bytes, Nanos* stamp) {
  Conn* conn = find(id);
  if (conn == nullptr || conn->closing) return;
  if (stamp != nullptr) *stamp = now();
  const ssize_t sent = ::send(conn->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(bytes.size())) {
    conn->sent = true;
    enqueue(id, *conn);
  } else if (sent >= 0) {
    park(id, *conn, bytes.subspan(static_cast<std::size_t>(sent)));
  } else if (errno == EAGAIN || errno == EINTR) {
    park(id, *conn, bytes);
  } else {
    fail(id, *conn, errno);
  }
}

template <Readiness R>
void ReadinessEngine<R>::shutdown(ConnId id) {
  Conn* conn = find(id);
  if (conn == nullptr || conn->closing) return;
  if (::shutdown(conn->fd, SHUT_WR) != 0) fail(id, *conn, errno);
}

template <Readiness R>
void ReadinessEngine<R>::close(ConnId id) {
  Conn* conn = find(id);
  if (conn != nullptr && !conn->closing) fail(id, *conn, 0);
}

template <Readiness R>
int ReadinessEngine<R>::fd(ConnId id) const {
  const Conn* conn = table_.find(id);
  return conn == nullptr ? -1 : conn->fd;
}

template <Readiness R>
std::size_t ReadinessEngine<R>::unread(ConnId id) const {
  const Conn* conn = table_.find(id);
  return conn == nullptr ? 0 : static_cast<std::size_t>(unread_bytes(conn->fd));
}

// ---- parked sends, errors, events

template <Readiness R>
[[gnu::noinline]] void ReadinessEngine<R>::park(ConnId id, Conn& conn, Bytes rest) {
  ++counters_.parked;
  conn.parked = in_receive_buffer(rest) ? ParkedSend::copy_of(rest) : ParkedSend::holding(rest);
  if (!conn.parked) return fail(id, conn, ENOMEM);
  if (!conn.watches_writable && !readiness_.watch_writable(conn.fd, tag_of(id))) {
    return fail(id, conn, errno);
  }
  conn.watches_writable = true;
  flush(id, conn);  // only after EAGAIN is an edge certain to come
}

template <Readiness R>
[[gnu::noinline]] void ReadinessEngine<R>::flush(ConnId id, Conn& conn) {
  while (!conn.parked->rest().empty()) {
    const Bytes rest = conn.parked->rest();
    const ssize_t sent = ::send(conn.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return readiness_.rearm_writable(conn.fd);
    if (sent < 0) return fail(id, conn, errno);
    conn.parked->taken(static_cast<std::size_t>(sent));
  }
  conn.parked.reset();
  conn.sent = true;
  enqueue(id, conn);
}

template <Readiness R>
[[gnu::noinline]] void ReadinessEngine<R>::fail(ConnId id, Conn& conn, int error) {
  conn.opened = conn.wants_recv = conn.sent = false;  // nothing is due any more but the end
  conn.closing = true;
  conn.error = error;
  conn.parked.reset();
  enqueue(id, conn);
}

template <Readiness R>
[[gnu::always_inline]] inline void ReadinessEngine<R>::enqueue(ConnId id, Conn& conn) {
  if (&conn == current_.conn || conn.queued) return;
  conn.queued = true;
  put_in_line(id);
}

/// Apart: its stack has a canary, which messages that come alone need not pay for.
template <Readiness R>
[[gnu::noinline]] void ReadinessEngine<R>::put_in_line(ConnId id) {
  due_.push_back(id);
}

template <Readiness R>
[[gnu::always_inline]] inline void ReadinessEngine<R>::arrived(ConnId id, Conn& conn,
                                                               std::uint32_t events) {
  if (conn.closing) return;
  if (conn.connecting) {
    connected(id, conn);
    if (conn.closing) return;  // else the same edge may tell of bytes, or of FIN, too
  }
  constexpr std::uint32_t kBehindTheData = EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR;
  if ((events & (EPOLLIN | kBehindTheData)) != 0) conn.readable = true;
  if ((events & kBehindTheData) != 0) conn.short_read_lies = true;
  if (conn.parked && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) flush(id, conn);
}

template <Readiness R>
bool ReadinessEngine<R>::in_receive_buffer(Bytes bytes) const {
  const std::less<> before;
  return !before(bytes.data(), buffer_.get()) &&
         before(bytes.data(), buffer_.get() + kReceiveBuffer);
}

// ---- waiting

template <Readiness R>
int ReadinessEngine<R>::wait(Nanos deadline) {
  ++counters_.waits;
  if (accept_again_at_ != kNever) {
    if (now() >= accept_again_at_) resume_accepting();
    deadline = std::min(deadline, accept_again_at_);
  }
  if (!due_.empty()) return readiness_.wait(0);
  if (spin_ == 0) return sleep(deadline);

  for (;;) {
    const int ready = readiness_.wait(0);
    const Nanos t = now();
    if (ready > 0) {
      last_event_ = t;
      return ready;
    }
    if (t >= deadline) return 0;
    if (spin_ != kNever && t - last_event_ >= spin_) break;
  }
  const int ready = sleep(deadline);
  last_event_ = now();
  return ready;
}

template <Readiness R>
int ReadinessEngine<R>::sleep(Nanos deadline) {
  if (deadline == kNever) return readiness_.wait(kNever);
  return readiness_.wait(std::max<Nanos>(0, deadline - now()));
}

}  // namespace net
