// What a server does beside its service: it turns away whom it has no room for, closes those who
// were silent too long, minds the signals, keeps the counters, and comes to an orderly end.
#pragma once

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <new>
#include <utility>

#include "net/engine.h"
#include "net/signals.h"
#include "net/socket.h"
#include "server/connections.h"
#include "server/counters.h"
#include "server/listen_overflows.h"
#include "server/notify_socket.h"
#include "server/options.h"
#include "server/spare_memory.h"

namespace server {

class Housekeeping {
 public:
  Housekeeping(const Options& options, std::uint32_t max_connections, net::Signals& signals,
               NotifySocket manager = {}, ListenOverflows listen_overflows = {})
      : options_(options),
        timed_(options.idle_timeout != net::kNever),
        connections_(max_connections),
        signals_(signals),
        manager_(std::move(manager)),
        listen_overflows_(std::move(listen_overflows)) {}

  // ---- what a service tells of its clients

  /// Whether there is room for this one; else it is closed.
  template <net::ServerEngine IO>
  bool admit(IO& io, net::ConnId c);

  /// Bytes have come; until sent(), they are owed. false: the client was told that nothing more
  /// will come (drain_echo), and what it says now comes too late.
  template <net::ServerEngine IO>
  bool received(IO& io, net::ConnId c, std::size_t bytes) {
    counters_.bytes += bytes;
    if (connections_.finished(c)) [[unlikely]]
      return false;
    connections_.set_owed(c, true);
    if (timed_) note_moved(io, c);
    return true;
  }
  template <net::ServerEngine IO>
  void sent(IO& io, net::ConnId c) {
    connections_.set_owed(c, false);
    if (timed_) note_moved(io, c);
  }
  /// Does what needs memory for this client. Where there is none, it is closed, and nobody else.
  template <net::ServerEngine IO, class F>
  bool or_close(IO& io, net::ConnId c, F&& act);

  void ended(net::ConnId c, int error) {
    counters_.ended_with(error);
    connections_.remove(c);
  }

  bool timed() const { return timed_; }
  bool draining() const { return drained_by_ != net::kNever; }
  std::uint32_t connections() const { return connections_.count(); }
  Counters& counters() { return counters_; }
  const NotifySocket& manager() const { return manager_; }

  // ---- a server's life

  /// Runs until a signal ends it; returns the exit code. While draining, service.drain(io, c) is
  /// asked again and again for each client to bring its business to an end.
  template <net::ServerEngine IO, class Service>
  int run(IO& io, Service& service);

  template <net::ServerEngine IO>
  void on_wake(IO& io);

  /// How an echo ends for a client.
  template <net::ServerEngine IO>
  void drain_echo(IO& io, net::ConnId c);

 private:
  static constexpr net::Nanos kDrainStep = 5 * net::kMillisecond;

  template <net::ServerEngine IO, class Service>
  void drain_all(IO& io, Service& service);

  /// Apart: its stack has a canary, which messages need not pay for where nobody is timed.
  template <net::ServerEngine IO>
  [[gnu::noinline]] void note_moved(IO& io, net::ConnId c) {
    connections_.set_time(io.completed_at());
    connections_.moved(c);
  }
  template <net::ServerEngine IO>
  net::Nanos close_idle(IO& io, net::Nanos now);

  const Options& options_;
  bool timed_;  // silent clients are closed
  Connections connections_;
  net::Signals& signals_;
  NotifySocket manager_;
  ListenOverflows listen_overflows_;
  Counters counters_;
  Log log_;
  SpareMemory spare_;
  net::Nanos drained_by_ = net::kNever;  // a signal has come: everything ends by then
  net::Nanos drain_again_at_ = 0;
  int second_signal_ = 0;
};

template <net::ServerEngine IO>
bool Housekeeping::admit(IO& io, net::ConnId c) {
  if (connections_.full()) {
    ++counters_.turned_away;
    io.close(c);
    return false;
  }
  if (timed_) connections_.set_time(io.completed_at());
  return or_close(io, c, [&] { connections_.add(c); });
}

template <net::ServerEngine IO, class F>
bool Housekeeping::or_close(IO& io, net::ConnId c, F&& act) {
  try {
    act();
  } catch (const std::bad_alloc&) {
    counters_.ended_with(ENOMEM);
    io.close(c);
    return false;
  }
  return true;
}

template <net::ServerEngine IO, class Service>
int Housekeeping::run(IO& io, Service& service) {
  net::Nanos deadline = net::kNever;
  while (second_signal_ == 0) {
    io.poll(service, deadline);
    deadline = timed() ? close_idle(io, net::now(io)) : net::kNever;
    const bool has_clients = connections_.count() > 0;
    deadline = std::min(deadline, spare_.give_back(has_clients, [&io] { return net::now(io); }));
    log_.report(io.counters(), counters_);
    if (!draining()) continue;
    drain_all(io, service);
    if (connections_.count() == 0 || net::now(io) >= drained_by_) return 0;
    deadline = std::min({deadline, drained_by_, drain_again_at_});
  }
  return 128 + second_signal_;
}

/// Of many connections one pass takes longer than a batch of events: it leaves them half of the
/// time.
template <net::ServerEngine IO, class Service>
void Housekeeping::drain_all(IO& io, Service& service) {
  const net::Nanos begun = net::now(io);
  if (begun < drain_again_at_) return;
  connections_.for_each([&](net::ConnId c) { service.drain(io, c); });
  const net::Nanos ended = net::now(io);
  drain_again_at_ = ended + std::max(kDrainStep, ended - begun);
}

template <net::ServerEngine IO>
void Housekeeping::on_wake(IO& io) {
  while (const int signal = signals_.next()) {
    if (signal == SIGUSR1) {
      print(counters_, io.counters(), connections_.count(), listen_overflows_.since_start());
    } else if (draining()) {
      second_signal_ = signal;
    } else {
      io.stop_listening();
      manager_.tell("STOPPING=1\nSTATUS=flushing what is owed\n");
      drained_by_ = net::now(io) + options_.drain_timeout;
    }
  }
}

template <net::ServerEngine IO>
net::Nanos Housekeeping::close_idle(IO& io, net::Nanos now) {
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
// still on its way, also what the peer sends after that; and a reset discards what has not reached
// the peer.
template <net::ServerEngine IO>
void Housekeeping::drain_echo(IO& io, net::ConnId c) {
  if (!connections_.finished(c)) {
    if (connections_.owed(c) || io.unread(c) > 0) return;
    connections_.set_finished(c);
    io.shutdown(c);
  }
  if (net::unacknowledged(io, c) == 0) io.close(c);
}

}  // namespace server
