#include "loadgen/faulty_server.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <deque>
#include <system_error>
#include <utility>
#include <vector>

#include "net/epoll_engine.h"
#include "net/socket.h"

namespace loadgen {
namespace {

using IO = net::EpollEngine;

/// The handler: every reply becomes one or more pieces, each with the time at which it is due.
class Answers {
 public:
  Answers(const Fault& fault, FaultyServer::Seen& seen, int wake)
      : fault_(fault), seen_(seen), wake_(wake) {}

  void on_open(IO& io, net::ConnId id) {
    if (connections_.size() <= id.slot) connections_.resize(id.slot + 1);
    connections_[id.slot] = Connection{.id = id, .pieces = {}};
    io.recv(id);
  }

  void on_recv(IO& io, net::ConnId id, net::Bytes bytes) {
    if (bytes.empty()) return io.close(id);
    const net::Nanos t = io.completed_at();
    if (seen_.began == 0) seen_.began = t;
    const std::uint64_t number = ++seen_.messages;
    Connection& c = connections_[id.slot];
    if (fault_.swallow_every != 0 && number % fault_.swallow_every == 0) {
      ++seen_.swallowed;
      return;  // nothing is received from it any more
    }
    std::vector<std::byte> reply(bytes.begin(), bytes.end());
    if (number == fault_.flip_at) {
      reply[reply.size() / 2] ^= std::byte{0x10};
      ++seen_.flipped;
    }
    answer(c, t, std::move(reply));
    send_due(io, c, net::now());
    io.recv(id);
  }

  void on_sent(IO& io, net::ConnId id) {
    Connection& c = connections_[id.slot];
    c.pieces.pop_front();
    c.sending = false;
    send_due(io, c, net::now());
  }

  void on_close(IO&, net::ConnId id, int) { connections_[id.slot] = Connection{}; }

  void on_wake(IO&) {
    eventfd_t ignored = 0;
    ::eventfd_read(wake_, &ignored);
    ended_ = true;
  }

  void run(IO& io) {
    while (!ended_) {
      stall_if_due();
      io.poll(*this, send_due(io, net::now()));
    }
  }

 private:
  struct Piece {
    net::Nanos due = 0;
    net::Nanos arrived = 0;  // the message that it answers
    bool last = true;        // of its reply
    std::vector<std::byte> bytes;
  };
  struct Connection {
    net::ConnId id;
    std::deque<Piece> pieces;
    bool sending = false;
  };

  void answer(Connection& c, net::Nanos t, std::vector<std::byte> reply) const {
    if (fault_.byte_gap == 0) {
      c.pieces.push_back({.due = t + fault_.delay, .arrived = t, .last = true, .bytes = reply});
      return;
    }
    for (std::size_t i = 0; i < reply.size(); ++i) {
      c.pieces.push_back({.due = t + static_cast<net::Nanos>(i + 1) * fault_.byte_gap,
                          .arrived = t,
                          .last = i + 1 == reply.size(),
                          .bytes = {reply[i]}});
    }
  }

  // Returns when the connection's next piece is due.
  net::Nanos send_due(IO& io, Connection& c, net::Nanos t) {
    if (c.sending || c.pieces.empty()) return net::kNever;
    const Piece& piece = c.pieces.front();
    if (piece.due > t) return piece.due;
    c.sending = true;
    if (piece.last) seen_.held.record(net::now() - piece.arrived);
    io.send(c.id, piece.bytes);
    return net::kNever;
  }

  net::Nanos send_due(IO& io, net::Nanos t) {
    net::Nanos next = seen_.began != 0 && seen_.stalled == 0 && fault_.stall_after != net::kNever
                          ? seen_.began + fault_.stall_after
                          : net::kNever;
    for (Connection& c : connections_) next = std::min(next, send_due(io, c, t));
    return next;
  }

  void stall_if_due() {
    if (fault_.stall_after == net::kNever || seen_.began == 0 || seen_.stalled != 0) return;
    const net::Nanos begin = net::now();
    if (begin < seen_.began + fault_.stall_after) return;
    std::this_thread::sleep_for(std::chrono::nanoseconds(fault_.stall_for));
    seen_.stalled = net::now() - begin;
  }

  const Fault& fault_;
  FaultyServer::Seen& seen_;
  int wake_;
  bool ended_ = false;
  std::deque<Connection> connections_;  // by slot; what is being sent stays where it is
};

}  // namespace

FaultyServer::FaultyServer(const Fault& fault)
    : fault_(fault), wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd");
  net::Fd listener = net::listen_on(net::Address::resolve("127.0.0.1", 0), 1024);
  address_ = net::Address::of_socket(listener.get());
  thread_ = std::thread([this, owned = std::move(listener)]() mutable {
    try {
      serve(std::move(owned));
    } catch (...) {
      failure_ = std::current_exception();
    }
  });
}

void FaultyServer::serve(net::Fd listener) {
  IO io(0);
  Answers answers(fault_, seen_, wake_.get());
  io.watch(wake_.get());
  io.listen(std::move(listener));
  answers.run(io);
}

const FaultyServer::Seen& FaultyServer::stop() {
  if (thread_.joinable()) {
    ::eventfd_write(wake_.get(), 1);
    thread_.join();
  }
  if (failure_) std::rethrow_exception(failure_);
  return seen_;
}

FaultyServer::~FaultyServer() {
  if (!thread_.joinable()) return;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

}  // namespace loadgen
