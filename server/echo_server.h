// The echo itself, and what a server needs around it. The lecture's loop
//
//     while data := conn.recv(): conn.sendall(data)
//     conn.close()
//
// becomes on_open, on_recv and on_sent: each asks for the next step, and the engine says when it is
// done. Nothing is received from a connection while its last bytes are on their way back, so a peer
// that does not read stops itself.
#pragma once

#include <csignal>
#include <cstdio>
#include <map>

#include "net/engine.h"
#include "net/signals.h"
#include "net/socket.h"
#include "server/connections.h"
#include "server/counters.h"
#include "server/options.h"

namespace server {

template <net::Engine IO>
class EchoServer {
 public:
  EchoServer(const Options& options, std::uint32_t max_connections, net::Signals& signals)
      : options_(options),
        connections_(max_connections, options.idle_timeout != net::kNever),
        signals_(signals) {}

  // ---- the echo

  bool sent_only_asks_for_more() const { return !timed(); }

  void on_open(IO& io, net::ConnId c) {
    if (connections_.full()) return turn_away(io, c);
    note_time(io);
    connections_.add(c);
    io.recv(c);
  }

  void on_recv(IO& io, net::ConnId c, net::Bytes bytes) {
    if (bytes.empty()) return io.close(c);
    note_time(io);
    connections_.moved(c, true);
    counters_.bytes += bytes.size();
    io.send(c, bytes);
  }

  void on_sent(IO& io, net::ConnId c) {
    note_time(io);
    connections_.moved(c, false);
    io.recv(c);
  }

  void on_close(IO&, net::ConnId c, int error) {
    if (error != 0) ++counters_.errors[error];
    connections_.remove(c);
  }

  // ---- the rest of a server's life

  /// Runs until a signal ends it; returns the exit code.
  int run(IO& io);

  void on_wake(IO& io);

 private:
  static constexpr net::Nanos kDrainStep = 10 * net::kMillisecond;

  void turn_away(IO& io, net::ConnId c) {
    ++counters_.turned_away;
    io.close(c);
  }
  bool timed() const { return options_.idle_timeout != net::kNever; }
  void note_time(IO& io) {
    if (timed()) connections_.set_time(io.completed_at());
  }
  net::Nanos close_idle(IO& io, net::Nanos now);
  void drain(IO& io);

  const Options& options_;
  Connections connections_;
  net::Signals& signals_;
  Counters counters_;
  Log log_;
  net::Nanos drained_by_ = net::kNever;  // a signal has come: everything ends by then
  int second_signal_ = 0;
};

template <net::Engine IO>
int EchoServer<IO>::run(IO& io) {
  net::Nanos deadline = net::kNever;
  while (second_signal_ == 0) {
    io.poll(*this, deadline);
    deadline = timed() ? close_idle(io, net::now()) : net::kNever;
    log_.report(io.counters(), counters_);
    if (drained_by_ == net::kNever) continue;
    drain(io);
    const net::Nanos now = net::now();
    if (connections_.count() == 0 || now >= drained_by_) return 0;
    deadline = std::min({deadline, drained_by_, now + kDrainStep});
  }
  return 128 + second_signal_;
}

template <net::Engine IO>
void EchoServer<IO>::on_wake(IO& io) {
  while (const int signal = signals_.next()) {
    if (signal == SIGUSR1) {
      print(counters_, io.counters(), connections_.count());
    } else if (drained_by_ != net::kNever) {
      second_signal_ = signal;
    } else {
      io.stop_listening();
      drained_by_ = net::now() + options_.drain_timeout;
    }
  }
}

template <net::Engine IO>
net::Nanos EchoServer<IO>::close_idle(IO& io, net::Nanos now) {
  net::Nanos next_at = net::kNever;
  for (;;) {
    const net::ConnId c = connections_.idle(now, options_.idle_timeout, next_at);
    if (c.generation == 0) return next_at;
    ++counters_.timed_out;
    connections_.remove(c);
    io.close(c);
  }
}

// A connection is done when all that its peer sent has been read, sent back and acknowledged. FIN
// tells the peer that no more will come. Closing any earlier could answer with a reset what is
// still on its way, and a reset discards what the peer has not read.
template <net::Engine IO>
void EchoServer<IO>::drain(IO& io) {
  connections_.for_each([&](net::ConnId c) {
    if (connections_.owed(c) || io.unread(c) > 0) return;
    if (!connections_.finished(c)) {
      connections_.set_finished(c);
      io.shutdown(c);
    }
    if (net::unacknowledged_bytes(io.fd(c)) == 0) io.close(c);
  });
}

}  // namespace server
