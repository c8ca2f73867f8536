// A node in a chain: what a client sends goes on to the next hop, and what the next hop sends goes
// back to the client.
//
//     while data := client.recv(): next_hop.sendall(data)      and the other way round, at once
//
// Each way is an echo with two ends: nothing is received from one side while its last bytes are on
// their way to the other, so who does not read stops who sends, through the whole chain. FIN
// travels after the bytes before it, and only that way; a reset travels both ways.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/engine.h"
#include "server/housekeeping.h"
#include "server/loop_guard.h"
#include "server/signing.h"

namespace server {

template <net::Engine IO>
class Relay {
 public:
  /// `signature`: put behind each line that goes on to the next hop; empty: none.
  Relay(Housekeeping& house, const net::Address& next_hop, std::string signature)
      : house_(house), next_hop_(next_hop), signature_(std::move(signature)) {}

  void on_open(IO& io, net::ConnId c);
  void on_recv(IO& io, net::ConnId c, net::Bytes bytes);
  void on_sent(IO& io, net::ConnId to);
  void on_close(IO& io, net::ConnId c, int error);
  void on_wake(IO& io) { house_.on_wake(io); }

  /// As if the client had finished: the next hop gets FIN, returns what it still has, and ends.
  void drain(IO& io, net::ConnId c);

 private:
  static constexpr net::ConnId kNone{};

  /// One of the two connections that make a way through this node.
  struct Leg {
    net::ConnId self;
    net::ConnId other;
    bool is_client = false;
    bool open = false;
    bool finished = false;                 // its FIN has come
    bool passed_on = false;                // and has gone on to the other
    bool busy = false;                     // bytes are on their way to it
    std::unique_ptr<SignedStream> stream;  // where what goes to it is signed, and stands till then

    /// A next hop can accept and reset before this node hears that it accepted: the connection
    /// stood then too, for one that never stood can't be reset (connect(2) says ECONNREFUSED).
    bool stood(int error) const {
      return is_client || open || error == ECONNRESET || error == EPIPE;
    }
  };

  Leg& leg(net::ConnId c) { return legs_[c.slot]; }
  net::ConnId client_of(const Leg& leg) const { return leg.is_client ? leg.self : leg.other; }
  void greet(IO& io, net::ConnId client);
  void begin(IO& io, net::ConnId client, net::ConnId next);
  void make_legs(net::ConnId client, net::ConnId next);
  void finish(IO& io, Leg& from);
  void pass(IO& io, Leg& from, net::Bytes piece);
  void pass_fin(IO& io, Leg& from);
  void count_end(const Leg& ended, int error);

  Housekeeping& house_;
  const net::Address& next_hop_;
  std::string signature_;
  std::vector<Leg> legs_;  // by slot
};

// ---- how the two legs come to stand

template <net::Engine IO>
void Relay<IO>::on_open(IO& io, net::ConnId c) {
  if (c.slot >= legs_.size() || leg(c).self != c) return greet(io, c);
  leg(c).open = true;
  io.recv(c);
  io.recv(leg(c).other);
}

/// The client is not read from until the next hop has answered.
template <net::Engine IO>
void Relay<IO>::greet(IO& io, net::ConnId client) {
  if (!house_.admit(io, client)) return;
  const LoopGuard guard(net::hop_limit_of_syn(io.fd(client)));
  if (guard.is_loop()) {
    ++house_.counters().loops;
    net::reset_on_close(io.fd(client));  // FIN alone would leave the other way open, all round
    return io.close(client);
  }
  house_.or_close(io, client, [&] {
    begin(io, client, io.connect(next_hop_, {.hop_limit = guard.next_hop_limit()}));
  });
}

/// The client is closed by who asked for this; the next hop would without legs be taken for one.
template <net::Engine IO>
void Relay<IO>::begin(IO& io, net::ConnId client, net::ConnId next) try {
  make_legs(client, next);
} catch (const std::bad_alloc&) {
  io.close(next);
  throw;
}

/// Both or, where there is no memory for them, none.
template <net::Engine IO>
void Relay<IO>::make_legs(net::ConnId client, net::ConnId next) {
  std::unique_ptr<SignedStream> stream;
  if (!signature_.empty()) stream = std::make_unique<SignedStream>();
  const auto places = std::size_t{std::max(client.slot, next.slot)} + 1;
  if (legs_.size() < places) legs_.resize(places);
  leg(client) = {.self = client, .other = next, .is_client = true, .stream = nullptr};
  leg(next) = {.self = next, .other = client, .stream = std::move(stream)};
}

// ---- one way: from, to

template <net::Engine IO>
void Relay<IO>::on_recv(IO& io, net::ConnId c, net::Bytes bytes) {
  Leg& from = leg(c);
  if (from.finished) return;  // it was told to end, and what it says now comes too late
  if (bytes.empty()) return finish(io, from);
  house_.received(io, client_of(from), bytes.size());
  SignedStream* stream = leg(from.other).stream.get();
  house_.or_close(io, c, [&] { pass(io, from, stream ? stream->sign(signature_, bytes) : bytes); });
}

template <net::Engine IO>
void Relay<IO>::finish(IO& io, Leg& from) {
  from.finished = true;
  SignedStream* stream = leg(from.other).stream.get();
  house_.or_close(io, from.self,
                  [&] { pass(io, from, stream ? stream->finish(signature_) : net::Bytes()); });
}

template <net::Engine IO>
void Relay<IO>::on_sent(IO& io, net::ConnId to) {
  leg(to).busy = false;
  SignedStream* stream = leg(to).stream.get();
  house_.or_close(io, to, [&] {
    pass(io, leg(leg(to).other), stream ? stream->sign_rest(signature_) : net::Bytes());
  });
}

/// Sends the piece, or, where there is none, takes the next step.
template <net::Engine IO>
void Relay<IO>::pass(IO& io, Leg& from, net::Bytes piece) {
  const SignedStream* stream = leg(from.other).stream.get();
  if (stream && stream->line_too_long()) {
    ++house_.counters().long_lines;
    io.close(from.self);
  } else if (!piece.empty()) {
    leg(from.other).busy = true;
    io.send(from.other, piece);
  } else if (from.finished) {
    pass_fin(io, from);
  } else {
    house_.sent(io, client_of(from));
    io.recv(from.self);
  }
}

template <net::Engine IO>
void Relay<IO>::pass_fin(IO& io, Leg& from) {
  Leg& to = leg(from.other);
  from.passed_on = true;
  if (!to.passed_on || house_.draining()) return io.shutdown(to.self);
  from.other = to.other = kNone;  // both ways have ended, and each leg ends for itself
  io.close(to.self);
  io.close(from.self);
}

// ---- the end

template <net::Engine IO>
void Relay<IO>::on_close(IO& io, net::ConnId c, int error) {
  if (c.slot >= legs_.size() || leg(c).self != c) return house_.ended(c, error);  // never had legs
  const Leg ended = std::exchange(leg(c), Leg{});
  count_end(ended, error);
  if (ended.other == kNone) return;
  leg(ended.other).other = kNone;
  if (error != 0 && ended.stood(error)) net::reset_on_close(io.fd(ended.other));
  io.close(ended.other);
}

template <net::Engine IO>
void Relay<IO>::count_end(const Leg& ended, int error) {
  Counters& counters = house_.counters();
  if (ended.is_client) {
    house_.ended(ended.self, error);
  } else if (error != 0 && !ended.stood(error)) {
    ++counters.unreachable;
    counters.last_unreachable_errno = error;
  } else if (error != 0) {
    counters.ended_with(error);
  }
}

template <net::Engine IO>
void Relay<IO>::drain(IO& io, net::ConnId c) {
  if (c.slot >= legs_.size() || leg(c).self != c || leg(c).other == kNone) return;
  Leg& client = leg(c);
  Leg& next = leg(client.other);
  if (!next.open) return;
  if (!client.finished && !next.busy && io.unread(c) == 0) finish(io, client);
  if (client.passed_on && next.passed_on && net::unacknowledged(io, c) == 0) io.close(c);
}

}  // namespace server
