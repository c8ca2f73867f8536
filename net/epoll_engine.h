// Completions over epoll: try, and park on EAGAIN.
//
// A connection is registered once, edge-triggered, so the steady state has no epoll_ctl and costs
// two system calls a message, recv and send, plus one epoll_wait a batch. A receive that returns
// less than it asked for has emptied the socket, so no recv is spent on reading EAGAIN (epoll(7));
// the exception is a socket whose event said that something stands behind the data, FIN or an
// urgent mark, at which a receive stops short.
//
// All connections share one receive buffer: an idle connection costs its table slot and no more.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "net/conn_table.h"
#include "net/engine.h"
#include "net/parked_send.h"

namespace net {

class EpollEngine {
 public:
  /// `spin`: how long to look again before sleeping (net/busy_poll.h). Throws std::system_error.
  explicit EpollEngine(Nanos spin);
  ~EpollEngine();
  EpollEngine(const EpollEngine&) = delete;
  EpollEngine& operator=(const EpollEngine&) = delete;

  void listen(Fd listener);
  void stop_listening();
  ConnId connect(const Address& address);
  void watch(int fd);

  void recv(ConnId id);
  void send(ConnId id, Bytes bytes, Nanos* stamp = nullptr);
  void shutdown(ConnId id);
  void close(ConnId id);

  template <class H>
  requires Handler<H, EpollEngine>
  void poll(H& handler, Nanos deadline);

  Nanos completed_at() const { return now(); }
  Nanos completed_span() const { return 0; }
  int fd(ConnId id) const;
  std::size_t unread(ConnId id) const;
  const EngineCounters& counters() const { return counters_; }
  std::string description() const { return "epoll"; }

 private:
  static constexpr std::size_t kReceiveBuffer = 64 * 1024;
  static constexpr int kEvents = 256;
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

  int wait(Nanos deadline);
  int sleep(Nanos deadline);
  void arrived(ConnId id, std::uint32_t events);
  void connected(ConnId id, Conn& conn);
  template <class H>
  void serve(H& handler, ConnId id);
  template <class H>
  void receive(H& handler, ConnId id, Conn& conn);
  template <class H>
  void finish(H& handler, ConnId id, Conn& conn);

  void accept_some();
  void pause_accepting(int error);
  void resume_accepting();
  ConnId adopt(int fd);
  void park(ConnId id, Conn& conn, Bytes rest);
  void flush(ConnId id, Conn& conn);
  void fail(ConnId id, Conn& conn, int error);
  void enqueue(ConnId id, Conn& conn);
  bool watch_edges(Conn& conn, ConnId id, int operation, bool writable);
  bool in_receive_buffer(Bytes bytes) const;

  Fd epoll_;
  Fd listener_;
  Nanos accept_again_at_ = kNever;
  Nanos spin_;
  Nanos last_event_ = 0;
  ConnTable<Conn> table_;
  std::vector<ConnId> due_;      // connections with something to do that no event will announce
  std::vector<ConnId> serving_;  // the part of due_ that is being served
  ConnId current_;               // the one that serve() looks after, so it need not be in due_
  std::unique_ptr<std::byte[]> buffer_;
  EngineCounters counters_;
  epoll_event events_[kEvents];
};

// What the kernel hands back with an event: a connection, or one of the two other things watched.
namespace epoll_tag {
inline constexpr std::uint64_t kListener = ~std::uint64_t{0};
inline constexpr std::uint64_t kWatch = kListener - 1;
inline std::uint64_t of(ConnId id) { return std::uint64_t{id.generation} << 32 | id.slot; }
inline ConnId id(std::uint64_t tag) {
  return {static_cast<std::uint32_t>(tag), static_cast<std::uint32_t>(tag >> 32)};
}
}  // namespace epoll_tag

template <class H>
requires Handler<H, EpollEngine>
void EpollEngine::poll(H& handler, Nanos deadline) {
  const int ready = wait(deadline);
  bool woken = false;
  for (int i = 0; i < ready; ++i) {
    const std::uint64_t tag = events_[i].data.u64;
    if (tag == epoll_tag::kListener) {
      accept_some();
    } else if (tag == epoll_tag::kWatch) {
      woken = true;
    } else {
      current_ = epoll_tag::id(tag);
      arrived(current_, events_[i].events);
      serve(handler, current_);
    }
  }
  serving_.swap(due_);
  for (const ConnId id : serving_) {
    current_ = id;
    if (Conn* conn = table_.find(id)) conn->queued = false;
    serve(handler, id);
  }
  current_ = ConnId{};
  serving_.clear();
  if (woken) handler.on_wake(*this);
}

template <class H>
void EpollEngine::serve(H& handler, ConnId id) {
  Conn* conn = table_.find(id);
  if (conn == nullptr) return;
  if (conn->opened && !conn->closing) {
    conn->opened = false;
    handler.on_open(*this, id);
  }
  if (conn->readable && conn->wants_recv && !conn->closing) receive(handler, id, *conn);
  if (conn->sent && !conn->closing) {
    conn->sent = false;
    handler.on_sent(*this, id);
  }
  if (conn->closing) {
    finish(handler, id, *conn);
  } else if (conn->sent || (conn->readable && conn->wants_recv)) {
    current_ = ConnId{};
    enqueue(id, *conn);  // the others first
  }
}

template <class H>
void EpollEngine::receive(H& handler, ConnId id, Conn& conn) {
  const ssize_t got = ::recv(conn.fd, buffer_.get(), kReceiveBuffer, 0);
  if (got > 0) {
    const auto size = static_cast<std::size_t>(got);
    if (size < kReceiveBuffer && !conn.short_read_lies) conn.readable = false;
    conn.wants_recv = false;
    handler.on_recv(*this, id, Bytes(buffer_.get(), size));
  } else if (got == 0) {
    conn.wants_recv = false;  // stays readable: FIN is told again to who asks again
    handler.on_recv(*this, id, Bytes());
  } else if (errno == EAGAIN) {
    conn.readable = false;
    conn.short_read_lies = false;
  } else if (errno != EINTR) {
    fail(id, conn, errno);
  }
}

template <class H>
void EpollEngine::finish(H& handler, ConnId id, Conn& conn) {
  const int error = conn.error;
  ::close(conn.fd);
  conn.fd = -1;
  handler.on_close(*this, id, error);
  table_.free(id);
  if (accept_again_at_ != kNever) accept_again_at_ = 0;  // a descriptor has come free
}

static_assert(Engine<EpollEngine>);

}  // namespace net
