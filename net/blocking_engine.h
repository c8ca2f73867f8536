// The lecture's own server: a thread per connection, and calls that block.
//
//     while data := conn.recv(): conn.sendall(data)
//
// A verb notes what is asked, and the connection's thread does it: recv(2) until something comes,
// send(2) until all has gone. The handler knows nothing of threads, because they take turns with
// it: whoever calls it holds the baton (a mutex), and the program's own thread holds it whenever it
// is outside poll(). Nobody holds it in a system call. A baseline to compare with, and for servers
// only: on each connection one verb at a time is asked for, recv or send, and there is no connect.
//
// The lecture receives 1,024 bytes at a time; here it is as much as the other engines do, so that a
// comparison is one of designs and not of buffers.
#pragma once

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "net/conn_table.h"
#include "net/engine.h"
#include "net/socket.h"

namespace net {

class BlockingEngine {
 public:
  static constexpr const char* kName = "blocking";

  /// Its threads sleep in their calls, so there is nothing to spin in. Throws std::system_error.
  explicit BlockingEngine(Nanos spin = 0);
  /// Ends all connections, without a word to the handler, and joins their threads.
  ~BlockingEngine();
  BlockingEngine(const BlockingEngine&) = delete;
  BlockingEngine& operator=(const BlockingEngine&) = delete;

  void listen(Fd listener);
  void stop_listening();
  /// At most one descriptor.
  void watch(int fd) { watched_ = fd; }

  void recv(ConnId id);
  void send(ConnId id, Bytes bytes, Nanos* stamp = nullptr);
  void shutdown(ConnId id);
  void close(ConnId id);

  template <class H>
  requires Handler<H, BlockingEngine>
  void poll(H& handler, Nanos deadline);

  Nanos completed_at() const { return now(); }
  Nanos completed_span() const { return 0; }
  int fd(ConnId id) const;
  std::size_t unread(ConnId id) const;
  const EngineCounters& counters() const { return counters_; }
  std::string description() const { return "blocking: a thread per connection"; }

 private:
  static constexpr std::size_t kReceiveBuffer = 64 * 1024;
  static constexpr int kAcceptBatch = 64;
  static constexpr Nanos kAcceptPause = 100 * kMillisecond;
  static constexpr Nanos kBatch = 10 * kMillisecond;

  struct Conn {
    int fd = -1;
    std::uint32_t generation = 0;
    int error = 0;
    bool wants_recv = false;
    bool wants_send = false;
    bool in_call = false;  // its thread is in recv(2) or send(2)
    bool closing = false;
    Bytes unsent;
    Nanos* stamp = nullptr;
    std::uint64_t received = 0;  // bytes that the handler has seen
    std::thread thread;
  };

  /// Holding the baton, while it is not released.
  class Turn {
   public:
    explicit Turn(BlockingEngine& engine) : engine_(engine) { take(); }
    ~Turn() { release(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    void take();
    void release() { engine_.baton_.unlock(); }

   private:
    BlockingEngine& engine_;
  };

  enum Waking : unsigned { kNothing = 0, kListener = 1, kWatched = 2 };
  unsigned wait(Nanos deadline);
  unsigned sleep(Nanos until, bool for_progress);
  void join_ended();

  template <class H>
  void accept_some(H& handler);
  template <class H>
  int start(H& handler, int fd);
  void pause_accepting(int error);
  template <class H>
  void converse(H& handler, ConnId id, Conn& conn);
  template <class H>
  void finish(H& handler, ConnId id, Conn& conn);
  ssize_t receive(Turn& turn, Conn& conn, std::byte* buffer);
  void send_all(Turn& turn, Conn& conn);
  void asked(ConnId id);
  void tell_progress();

  std::mutex baton_;                   // guards all that follows, and the handler
  std::atomic<int> wanting_ = 0;       // threads that wait for the baton
  std::condition_variable_any asked_;  // by a verb from outside a connection's own callbacks
  ConnTable<Conn> table_;
  std::vector<std::thread> ended_;
  std::vector<std::thread> joining_;  // the part of ended_ that is being joined
  Fd listener_;
  int watched_ = -1;
  Fd progress_;  // eventfd: callbacks were made
  bool progress_told_ = false;
  bool ending_ = false;
  Nanos accept_again_at_ = kNever;
  EngineCounters counters_;
};

template <class H>
requires Handler<H, BlockingEngine>
void BlockingEngine::poll(H& handler, Nanos deadline) {
  const unsigned why = wait(deadline);
  join_ended();
  if ((why & kListener) != 0) accept_some(handler);
  if ((why & kWatched) != 0) handler.on_wake(*this);
}

template <class H>
void BlockingEngine::accept_some(H& handler) {
  for (int i = 0; i < kAcceptBatch && listener_; ++i) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      const int error = start(handler, fd);
      if (error == 0) continue;
      ::close(fd);
      return pause_accepting(error);
    }
    if (errno == EAGAIN) return;
    if (!is_of_connection(errno)) return pause_accepting(errno);
    ++counters_.accept_failures;
    counters_.last_accept_errno = errno;
  }
}

/// An errno where there are no more threads, or no memory: this connection is lost.
template <class H>
int BlockingEngine::start(H& handler, int fd) {
  ConnId id;
  try {
    ended_.reserve(table_.places());  // a thread that ends needs no memory
    joining_.reserve(table_.places());
    id = table_.add();
    Conn& conn = table_[id.slot];
    conn.fd = fd;
    conn.thread = std::thread([this, &handler, id, &conn] { converse(handler, id, conn); });
    ++counters_.accepted;
    return 0;
  } catch (const std::system_error& failure) {
    table_.free(id);
    return failure.code().value();
  } catch (const std::bad_alloc&) {
    if (id.generation != 0) table_.free(id);
    return ENOMEM;
  }
}

/// The life of one connection, in its own thread.
template <class H>
void BlockingEngine::converse(H& handler, ConnId id, Conn& conn) {
  std::array<std::byte, kReceiveBuffer> buffer;
  Turn turn(*this);
  if (!conn.closing) handler.on_open(*this, id);
  while (!conn.closing) {
    tell_progress();
    if (conn.wants_send) {
      send_all(turn, conn);
      if (!conn.closing) handler.on_sent(*this, id);
    } else if (conn.wants_recv) {
      const ssize_t got = receive(turn, conn, buffer.data());
      if (!conn.closing) {
        handler.on_recv(*this, id, Bytes(buffer.data(), static_cast<std::size_t>(got)));
      }
    } else {
      asked_.wait(baton_);
    }
  }
  finish(handler, id, conn);
}

template <class H>
void BlockingEngine::finish(H& handler, ConnId id, Conn& conn) {
  ::close(std::exchange(conn.fd, -1));
  if (!ending_) handler.on_close(*this, id, conn.error);
  ended_.push_back(std::move(conn.thread));
  table_.free(id);
  if (accept_again_at_ != kNever) accept_again_at_ = 0;  // a descriptor has come free
  tell_progress();
}

static_assert(ServerEngine<BlockingEngine>);

}  // namespace net
