// One thread of the load generator: a handler on an engine of its own. It owns its connections,
// their schedule and its histograms, and shares nothing until its tally is taken after the join.
//
// A message's way: grant() decides that it may go because a reply has come (closed loop), or
// dispatch() because it is due (open loop); send_piece() gives its slice of the payload to the
// engine, which stamps it as it is handed to the kernel; on_recv() compares what comes back with
// the same slice, and complete() makes a sample of it when its last byte has come.
#pragma once

#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loadgen/back_off.h"
#include "loadgen/broken_rule.h"
#include "loadgen/connection.h"
#include "loadgen/diagnosis.h"
#include "loadgen/error_kind.h"
#include "loadgen/hdr_log.h"
#include "loadgen/host_cpu.h"
#include "loadgen/intervals.h"
#include "loadgen/options.h"
#include "loadgen/payload.h"
#include "loadgen/rendezvous.h"
#include "loadgen/schedule.h"
#include "loadgen/self_watch.h"
#include "loadgen/share.h"
#include "loadgen/source_addresses.h"
#include "loadgen/tally.h"
#include "loadgen/turns.h"
#include "net/engine.h"
#include "net/tcp_info.h"

namespace loadgen {

/// What the main thread and the workers have in common.
struct Shared {
  const Options& options;
  const Payload& payload;
  Rendezvous rendezvous;
  IntervalLog intervals;
  std::optional<HdrLog> hdr_log = std::nullopt;  // where one was asked for
  std::atomic<bool> stop = false;                // end now, and report
  std::atomic<bool> failed = false;              // a worker has ended with an exception
  std::atomic<bool> signing = false;             // the server signs what it returns
  std::atomic<std::uint64_t> opened = 0;         // connections
  std::atomic<std::uint64_t> errors = 0;         // for the live line
  bool spins = false;                            // a worker that waits uses CPU time
};

template <net::Engine IO>
class Worker {
 public:
  /// `wake` (an eventfd) becomes readable when `shared.stop` was set.
  Worker(Shared& shared, Share share, int wake)
      : shared_(shared),
        options_(shared.options),
        payload_(shared.payload),
        share_(share),
        wake_(wake),
        size_(shared.payload.message_size()),
        fit_(std::max<std::uint64_t>(1, kPiece / shared.payload.message_size())),
        open_loop_(shared.options.rate.has_value()),
        stamps_(shared.options.pipeline),
        sources_(shared.options.target),
        watch_(shared.spins),
        lost_(shared.options.seed + (std::uint64_t{share.number} << 32)) {
    // In on_close a slot is still taken while another connection may set out. Where the stamps are
    // is known to the engine until it has set them, so they must not move then.
    connections_.reserve(share.connections + 1);
    stamps_.make_room(share.connections + 1);
  }

  /// Connects and takes part in the phases; the connections are closed with the engine.
  Tally run(IO& io);

  void on_open(IO& io, net::ConnId id);
  void on_recv(IO& io, net::ConnId id, net::Bytes bytes);
  void on_sent(IO& io, net::ConnId id);
  void on_close(IO& io, net::ConnId id, int error);
  void on_wake(IO& io);

 private:
  using State = Connection::State;
  static constexpr std::size_t kConnectingAtOnce = 128;
  // Sent at once at most. Between two pieces of a large message what has come back is taken, while
  // it is still in the cache (docs/PERFORMANCE.md).
  static constexpr std::size_t kPiece = 64 * 1024;
  static constexpr std::uint64_t kForLife = std::numeric_limits<std::uint64_t>::max();
  static constexpr net::Nanos kAbortPatience = 300 * net::kMillisecond;

  /// Why a connection is lost: it ended, its bytes were wrong, or it was waited for in vain.
  enum class Loss : std::uint8_t { kEnded, kDistrusted, kGivenUp };

  void connect_all(IO& io);
  void connect_more(IO& io);
  void connect_from(IO& io, const Vacancy& vacancy, bool replaces);
  void connect_failed(IO& io, Connection& c, int error);
  void begin_life(IO& io, Connection& c, net::Nanos t);
  bool worn_out(const Connection& c) const;
  void replace(IO& io, Connection& c);
  void remake(IO& io, net::Nanos t);
  std::uint64_t life() const { return options_.churn.value_or(kForLife); }
  void run_phase(IO& io, const Phase& phase);
  void wait(IO& io, net::Nanos deadline);
  void begin_phase(IO& io, const Phase& phase);
  void end_phase(IO& io);
  net::Nanos quiet_end() const;
  void judge_self(IO& io);
  std::uint64_t share_of(std::uint64_t messages) const;
  void note_last(IO& io);
  void note_tcp(IO& io, const Connection& c);

  Schedule schedule_of(const Phase& phase) const;
  bool may_send(const Connection& c) const;
  bool more_to_send() const;
  void grant(IO& io, Connection& c, net::Nanos t);
  void offer(Connection& c);
  void dispatch(IO& io, net::Nanos t);
  void assign(IO& io, Connection& c, net::Nanos t, std::uint64_t most);
  void transmit(IO& io, Connection& c, std::uint32_t messages, net::Nanos t);
  void send_piece(IO& io, Connection& c, net::Nanos* stamp);
  void check(IO& io, Connection& c, net::Bytes bytes, net::Nanos t, net::Nanos span);
  bool are_next(const Connection& c, net::Bytes bytes) const;
  void examine(IO& io, Connection& c, net::Bytes bytes, net::Nanos t, net::Nanos span);
  void accept_bytes(Connection& c, std::size_t bytes, net::Nanos t, net::Nanos span);
  void complete(Connection& c, net::Nanos t, net::Nanos span);
  std::vector<std::byte> suspect(IO& io, Connection& c, net::Bytes bytes, bool final);
  void lose(IO& io, Connection& c, Loss why, const std::string& kind = "");
  void try_again(IO& io, Connection& c, int error);
  void make_anew_later(IO& io, const Connection& c);
  bool awaited_by_another(const Connection& c, std::size_t position) const;
  void count_error(const std::string& kind);
  void roll_intervals(net::Nanos t);
  void log_samples(net::Nanos end);

  std::size_t owed(const Connection& c) const { return c.outstanding * size_ - c.received; }

  Shared& shared_;
  const Options& options_;
  const Payload& payload_;
  Share share_;
  int wake_;
  std::size_t size_;
  std::uint64_t fit_;  // messages that can be sent in one piece
  bool open_loop_;
  std::vector<Connection> connections_;  // by the slot of their ConnId
  SendStamps stamps_;
  SourceAddresses sources_;
  Tally tally_;
  TenthsClock tenths_;
  SelfWatch watch_;
  bool stirred_ = false;       // something happened in the last poll
  net::Nanos room_since_ = 0;  // open loop: before, no connection could take a message
  Histogram interval_;

  std::size_t connecting_ = 0;
  std::size_t to_connect_ = 0;       // of the first ones
  std::vector<Vacancy> to_replace_;  // of those whose life was over
  BackOff lost_;                     // of those that are to be made anew
  std::size_t open_ = 0;             // or being replaced
  std::size_t absent_ = 0;           // lost and not back yet
  std::uint64_t outstanding_ = 0;    // messages, over all connections
  std::uint64_t quota_ = 0;          // closed loop: messages left to send
  Schedule schedule_;                // open loop: when they are due,
  Turns turns_;                      // and who takes the next
  bool sending_ = false;             // new messages may go
  Phase phase_;
  net::Nanos last_reply_ = 0;
  net::Nanos quiet_since_ = 0;  // nothing came since, though something was awaited
  net::Nanos lost_since_ = 0;   // later than last_reply_: the first loss after it
  net::Nanos interval_end_ = net::kNever;
  std::size_t interval_number_ = 0;
};

// ---- connecting and ending

template <net::Engine IO>
Tally Worker<IO>::run(IO& io) {
  io.watch(wake_);
  connect_all(io);
  for (;;) {
    const Phase phase = shared_.rendezvous.arrive();
    if (!phase.run) break;
    run_phase(io, phase);
  }
  note_last(io);
  return std::move(tally_);
}

template <net::Engine IO>
void Worker<IO>::connect_all(IO& io) {
  const net::Nanos deadline = net::now(io) + options_.timeout;
  to_connect_ = share_.connections;
  connect_more(io);
  while (connecting_ > 0 && !shared_.stop && net::now(io) < deadline) io.poll(*this, deadline);
  tally_.connections_failed += std::exchange(to_connect_, 0);
  for (const Connection& c : connections_) {
    if (c.state == State::kConnecting) io.close(c.id);
  }
  while (connecting_ > 0) io.poll(*this, net::now(io) + net::kSecond);
}

template <net::Engine IO>
void Worker<IO>::connect_more(IO& io) {
  for (; to_connect_ > 0 && connecting_ < kConnectingAtOnce; --to_connect_) {
    const std::size_t number = share_.first_connection + share_.connections - to_connect_;
    connect_from(io, {.position = static_cast<std::uint32_t>(payload_.start_of(number))}, false);
  }
  while (!to_replace_.empty() && connecting_ < kConnectingAtOnce) {
    const Vacancy vacancy = to_replace_.back();
    to_replace_.pop_back();
    connect_from(io, vacancy, true);
  }
}

/// Makes those lost ones anew whose time has come.
template <net::Engine IO>
void Worker<IO>::remake(IO& io, net::Nanos t) {
  while (lost_.next() <= t && connecting_ < kConnectingAtOnce) connect_from(io, lost_.take(), true);
}

template <net::Engine IO>
void Worker<IO>::connect_from(IO& io, const Vacancy& vacancy, bool replaces) {
  const net::Nanos t = net::now(io);
  const std::size_t set = sources_.set();
  const bool needs_ports = options_.churn || options_.connections > SourceAddresses::kFew;
  const net::Departure departure{.source = needs_ports ? sources_.next() : nullptr};
  const net::ConnId id = io.connect(options_.target, departure);
  if (connections_.size() <= id.slot) connections_.resize(id.slot + 1);
  stamps_.make_room(connections_.size());
  turns_.make_room(connections_.size());
  Connection& c = connections_[id.slot];
  c = Connection{};
  c.id = id;
  c.send_at = c.receive_at = vacancy.position;
  c.attempt = vacancy.attempt;
  c.left = life();
  c.connect_at = t;
  c.source_set = set;
  c.replaces = replaces;
  ++connecting_;
}

template <net::Engine IO>
void Worker<IO>::on_open(IO& io, net::ConnId id) {
  stirred_ = true;
  Connection& c = connections_[id.slot];
  --connecting_;
  ++tally_.connections_opened;
  shared_.opened.fetch_add(1, std::memory_order_relaxed);
  c.state = State::kOpen;
  sources_.had_port();
  io.recv(id);
  if (c.replaces) {
    begin_life(io, c, io.completed_at());
  } else {
    ++open_;
  }
  connect_more(io);
}

/// A connection that replaces another goes to work at once.
template <net::Engine IO>
void Worker<IO>::begin_life(IO& io, Connection& c, net::Nanos t) {
  if (c.attempt > 0) {
    ++tally_.connections_remade;
    --absent_;
    ++open_;
  } else {
    if (c.connect_at >= phase_.begin && c.connect_at < phase_.end) {
      tally_.connect.record(t - c.connect_at);
    }
    if (t >= phase_.begin && t < phase_.end) ++tally_.replaced_in_window;
  }
  if (open_loop_) {
    offer(c);
  } else {
    grant(io, c, t);
  }
}

template <net::Engine IO>
void Worker<IO>::connect_failed(IO& io, Connection& c, int error) {
  --connecting_;
  if (error == EADDRNOTAVAIL && sources_.used_up(c.source_set)) {
    if (c.replaces) {
      to_replace_.push_back({.position = c.send_at, .attempt = c.attempt});
    } else {
      ++to_connect_;
    }
    return connect_more(io);
  }
  if (error == 0) error = ETIMEDOUT;
  if (c.attempt == 0) ++tally_.connections_failed;
  if (tally_.connect_errno == 0) tally_.connect_errno = error;
  count_error(error_kind(error));
  if (c.replaces) try_again(io, c, error);
  // Where not even the first one got through, the others need not try.
  if (open_ == 0) tally_.connections_failed += std::exchange(to_connect_, 0);
  connect_more(io);
}

/// Later, unless this host has no port left: that is no news from the server, to be waited for.
template <net::Engine IO>
void Worker<IO>::try_again(IO& io, Connection& c, int error) {
  if (c.attempt++ == 0) {
    --open_;
    ++absent_;
  }
  if (error == EADDRNOTAVAIL) {
    --absent_;
  } else {
    make_anew_later(io, c);
  }
}

/// It has sent all it may, and all has come back.
template <net::Engine IO>
bool Worker<IO>::worn_out(const Connection& c) const {
  return c.left == 0 && c.outstanding == 0 && !c.sending && sending_ && c.state == State::kOpen;
}

/// Ends a connection as the lecture's client does, with close(2): FIN, and the server's in return.
/// When on_close has freed its slot, another takes its place and goes on in the payload where it
/// ended.
template <net::Engine IO>
void Worker<IO>::replace(IO& io, Connection& c) {
  if (io.unread(c.id) > 0) {
    ++tally_.corrupt;
    count_error(std::string(name_of(Fault::kExtra)));
  }
  note_tcp(io, c);
  c.state = State::kReplaced;
  io.close(c.id);
}

template <net::Engine IO>
void Worker<IO>::on_close(IO& io, net::ConnId id, int error) {
  stirred_ = true;
  Connection& c = connections_[id.slot];
  if (c.state == State::kOpen) lose(io, c, Loss::kEnded, error_kind(error));
  const State ended = std::exchange(c.state, State::kClosed);
  if (ended == State::kConnecting) connect_failed(io, c, error);
  if (ended == State::kReplaced) to_replace_.push_back({.position = c.send_at});
  if (ended == State::kLost) make_anew_later(io, c);
}

/// An open connection ends before its time: what it still waited for will not come. One whose bytes
/// can be trusted is made anew when on_close has freed its slot.
template <net::Engine IO>
void Worker<IO>::lose(IO& io, Connection& c, Loss why, const std::string& kind) {
  while (c.suspect) check(io, c, suspect(io, c, net::Bytes(), true), net::now(io), 0);
  if (c.state != State::kOpen) return;  // its last bytes were wrong, and it was closed for that
  c.state = why == Loss::kDistrusted ? State::kClosed : State::kLost;
  --open_;
  ++tally_.connections_lost;
  if (!kind.empty()) count_error(kind);
  const std::uint32_t warmup = std::min(c.warmup, c.outstanding);
  const bool wrong = c.oldest_is_wrong && warmup == 0 && c.outstanding > 0;
  if (!is_broken(Rule::kUnanswered)) {
    const std::uint32_t unanswered = c.outstanding - warmup - (wrong ? 1 : 0);
    tally_.unanswered += unanswered;
    if (why != Loss::kGivenUp) tally_.lost_unanswered += unanswered;
  }
  if (wrong) ++tally_.spoiled;
  outstanding_ -= c.outstanding;
  if (c.state == State::kLost) {
    const bool has_answered = life() - c.left > c.outstanding;
    c.attempt = has_answered ? 1 : c.attempt + 1;
    ++absent_;
  }
  io.close(c.id);
}

/// It will be made anew, and goes on in the payload behind the last message that it was given.
template <net::Engine IO>
void Worker<IO>::make_anew_later(IO& io, const Connection& c) {
  const net::Nanos t = net::now(io);
  if (lost_since_ <= last_reply_) lost_since_ = t;
  const auto position = static_cast<std::uint32_t>(payload_.advance(c.send_at, c.unsent));
  lost_.add({.position = position, .attempt = c.attempt}, t);
}

template <net::Engine IO>
void Worker<IO>::on_wake(IO&) {
  stirred_ = true;
  eventfd_t ignored = 0;
  ::eventfd_read(wake_, &ignored);
}

// ---- a phase: load until its end, then wait for what is outstanding

template <net::Engine IO>
void Worker<IO>::run_phase(IO& io, const Phase& phase) {
  begin_phase(io, phase);
  net::Nanos patience = net::kNever;
  for (;;) {
    const net::Nanos t = net::now(io);
    if (!to_replace_.empty() && sending_) connect_more(io);
    if (lost_.next() <= t && sending_) remake(io, t);
    if (watch_.look(t)) watch_.check(t, thread_cpu_time());
    if (open_loop_) dispatch(io, t);
    const net::Nanos given_up = phase_.end == net::kNever ? quiet_end() : net::kNever;
    const bool stalled = t >= given_up;
    const bool over = patience != net::kNever;
    const bool used_up = phase_.end == net::kNever && !more_to_send();
    if (!over && (shared_.stop || t >= phase_.end || used_up || stalled)) {
      patience = stalled ? t : t + options_.timeout;
      // What fell due in the window and still waits is sent after it: its latency is the longest.
      sending_ = open_loop_ && !stalled;
      if (shared_.stop) phase_.end = std::min(phase_.end, t);
    }
    if (shared_.stop) {
      patience = std::min(patience, t + kAbortPatience);
      sending_ = false;
    }
    if (sending_ && patience != net::kNever) {
      sending_ = more_to_send() && t < patience - options_.timeout / 2;  // replies need time too
    }
    if (open_ + absent_ == 0 || (!sending_ && outstanding_ == 0) || t >= patience) break;
    if (t >= interval_end_) roll_intervals(std::min(t, phase_.end));
    net::Nanos deadline = patience;
    if (patience == net::kNever) deadline = std::min({phase_.end, given_up, interval_end_});
    if (sending_ && !turns_.empty()) deadline = std::min(deadline, schedule_.next());
    wait(io, deadline);
  }
  end_phase(io);
}

/// A number of messages has no end in time: where nothing comes any more, it is not waited for. Nor
/// where connections come and go, and none of them brings a reply.
template <net::Engine IO>
net::Nanos Worker<IO>::quiet_end() const {
  net::Nanos since = net::kNever;
  if (outstanding_ > 0 || (connecting_ > 0 && absent_ == 0)) since = quiet_since_;
  if (lost_since_ > last_reply_) since = std::min(since, lost_since_);
  return since == net::kNever ? since : since + options_.timeout;
}

/// One batch of completions. What is there already is work; only the rest is waiting.
template <net::Engine IO>
void Worker<IO>::wait(IO& io, net::Nanos deadline) {
  stirred_ = false;
  io.poll(*this, 0);
  if (stirred_) return;
  const net::Nanos t = net::now(io);
  watch_.waits(t, std::min(deadline, t + SelfWatch::kLongestWait));
  io.poll(*this, std::min(deadline, t + SelfWatch::kLongestWait));
  if (watch_.is_waiting()) watch_.woke(net::now(io));
}

template <net::Engine IO>
void Worker<IO>::begin_phase(IO& io, const Phase& phase) {
  phase_ = phase;
  interval_end_ = phase.begin == net::kNever ? net::kNever : phase.begin + options_.interval;
  interval_number_ = 0;
  interval_.clear();
  last_reply_ = quiet_since_ = net::now(io);
  tenths_.window(phase.begin, phase.end);
  watch_.window(phase.begin, phase.end);
  stamps_.all_due(last_reply_);
  sending_ = true;
  quota_ = share_of(phase.messages);
  if (open_loop_) schedule_ = schedule_of(phase);
  for (Connection& c : connections_) {
    if (worn_out(c)) {
      replace(io, c);
    } else if (open_loop_) {
      offer(c);
    } else {
      grant(io, c, net::now(io));
    }
  }
}

/// How many messages fall to this worker; its connections take from them as they get free, so that
/// one which waits for ever holds up no more than what it waits for.
template <net::Engine IO>
std::uint64_t Worker<IO>::share_of(std::uint64_t messages) const {
  if (messages == Phase::kUnlimited) return messages;
  const std::uint64_t upto = share_.first_connection + share_.connections;
  return portion(messages, upto, options_.connections) -
         portion(messages, share_.first_connection, options_.connections);
}

/// What the worker did with its own time in the window.
template <net::Engine IO>
void Worker<IO>::judge_self(IO& io) {
  const net::Nanos length = tally_.ended - phase_.begin;
  if (length > 0) {
    tally_.busy = 1 - static_cast<double>(watch_.waited()) / static_cast<double>(length);
  }
  if (!is_broken(Rule::kOwnStall)) {
    tally_.stalled = watch_.stalled();
    tally_.longest_stall = watch_.longest_stall();
  }
  tally_.parked = io.counters().parked;
}

/// This worker's part of the arrivals: of the rate as much as it has of the connections. Uniform
/// ones of several workers fall between each other.
template <net::Engine IO>
Schedule Worker<IO>::schedule_of(const Phase& phase) const {
  const double part =
      static_cast<double>(share_.connections) / static_cast<double>(options_.connections);
  return Schedule(
      {.arrivals = options_.arrivals,
       .rate = static_cast<double>(*options_.rate) * part,
       .phase = static_cast<double>(share_.number) / static_cast<double>(share_.workers),
       .seed = options_.seed + (std::uint64_t{share_.number} << 32),
       .start = phase.start,
       .end = phase.end,
       .messages = share_of(phase.messages)});
}

template <net::Engine IO>
void Worker<IO>::end_phase(IO& io) {
  const bool cut_short = phase_.end == net::kNever || net::now(io) < phase_.end;
  tally_.ended = cut_short ? std::min(last_reply_, phase_.end) : phase_.end;
  if (phase_.begin != net::kNever) {
    tally_.ended = std::max(tally_.ended, phase_.begin);
    const std::uint64_t of_warmup = schedule_.waiting(phase_.begin, Schedule::kUnlimited);
    const std::uint64_t unsent = schedule_.waiting(tally_.ended, Schedule::kUnlimited) - of_warmup;
    tally_.due += unsent;
    tally_.unsent += unsent;
    judge_self(io);
  }
  for (Connection& c : connections_) {
    if (c.state != State::kOpen) continue;
    if (c.outstanding > 0) {
      lose(io, c, Loss::kGivenUp, error_kind(ETIMEDOUT));
    } else if (io.unread(c.id) > 0) {
      ++tally_.corrupt;
      count_error(std::string(name_of(Fault::kExtra)));
      lose(io, c, Loss::kDistrusted);
    }
  }
  if (interval_end_ == net::kNever) return;
  if (tally_.ended >= interval_end_) roll_intervals(tally_.ended);
  const net::Nanos length = tally_.ended - phase_.begin;
  const auto rolled = static_cast<net::Nanos>(interval_number_) * options_.interval;
  if (length > rolled) {
    shared_.intervals.add(share_.worker, interval_number_, length, interval_);
  }
  log_samples(std::max(length, last_reply_ - phase_.begin));
  shared_.intervals.leave(share_.worker);
}

template <net::Engine IO>
void Worker<IO>::roll_intervals(net::Nanos t) {
  while (t >= interval_end_) {
    log_samples(interval_end_ - phase_.begin);
    shared_.intervals.add(share_.worker, interval_number_++, interval_end_ - phase_.begin,
                          interval_);
    interval_.clear();
    interval_end_ += options_.interval;
  }
}

template <net::Engine IO>
void Worker<IO>::log_samples(net::Nanos end) {
  if (!shared_.hdr_log) return;
  shared_.hdr_log->add(share_.worker, interval_number_, end, tally_.latency,
                       open_loop_ ? tally_.service : tally_.latency);
}

template <net::Engine IO>
void Worker<IO>::note_last(IO& io) {
  for (const Connection& c : connections_) {
    if (c.state == State::kOpen) note_tcp(io, c);
    if (c.state == State::kConnecting && net::now(io) - c.connect_at >= options_.timeout) {
      if (c.attempt == 0) ++tally_.connections_failed;
      count_error(error_kind(ETIMEDOUT));
    }
  }
}

template <net::Engine IO>
void Worker<IO>::note_tcp(IO& io, const Connection& c) {
  if (const auto info = net::tcp_info(io.fd(c.id))) tally_.tcp.add(*info);
}

// ---- sending

template <net::Engine IO>
bool Worker<IO>::may_send(const Connection& c) const {
  return c.state == State::kOpen && !c.sending && !c.suspect && c.outstanding < options_.pipeline &&
         c.left > 0;
}

template <net::Engine IO>
bool Worker<IO>::more_to_send() const {
  return open_loop_ ? schedule_.next() != net::kNever : quota_ > 0;
}

/// Closed loop: sends as many messages as may be outstanding, in one piece where they fit one.
template <net::Engine IO>
void Worker<IO>::grant(IO& io, Connection& c, net::Nanos t) {
  if (!sending_ || t >= phase_.end || !may_send(c)) return;
  const auto messages = static_cast<std::uint32_t>(
      std::min({std::uint64_t{options_.pipeline - c.outstanding}, quota_, fit_, c.left}));
  if (messages == 0) return;
  quota_ -= messages;
  if (t < phase_.begin) c.warmup = c.outstanding + messages;
  transmit(io, c, messages, t);
}

/// Open loop: the connection waits for its turn.
template <net::Engine IO>
void Worker<IO>::offer(Connection& c) {
  if (may_send(c)) turns_.push(c.id.slot);
}

/// Open loop: sends what is due. Each message goes to the connection that has waited longest; where
/// more is due than connections are free, it is dealt out evenly, and each sends its part in one
/// piece. Where none is free, it waits in the schedule.
template <net::Engine IO>
void Worker<IO>::dispatch(IO& io, net::Nanos t) {
  if (!sending_ || schedule_.next() > t || turns_.empty()) return;
  const std::uint64_t free = turns_.size();
  std::uint64_t waiting = schedule_.waiting(t + 1, free + 1);
  if (waiting > free) waiting = schedule_.waiting(t + 1, free * options_.pipeline);
  const std::uint64_t part = (waiting + free - 1) / free;
  while (schedule_.next() <= t && !turns_.empty()) {
    Connection& c = connections_[turns_.pop()];
    if (may_send(c)) assign(io, c, t, part);
  }
}

template <net::Engine IO>
void Worker<IO>::assign(IO& io, Connection& c, net::Nanos t, std::uint64_t most) {
  most = std::min({most, std::uint64_t{options_.pipeline - c.outstanding}, fit_, c.left});
  std::uint32_t messages = 0;
  for (net::Nanos due = schedule_.next(); messages < most && due <= t; due = schedule_.next()) {
    schedule_.take();
    stamps_.at(c.id.slot, stamps_.after(c.oldest, c.outstanding + messages++)).due = due;
    if (due < phase_.begin) {
      c.warmup = c.outstanding + messages;
    } else {
      ++tally_.due;
      tally_.held_up += std::max<net::Nanos>(0, room_since_ - due);
    }
  }
  transmit(io, c, messages, t);
}

template <net::Engine IO>
void Worker<IO>::transmit(IO& io, Connection& c, std::uint32_t messages, net::Nanos t) {
  const std::uint32_t first = stamps_.after(c.oldest, c.outstanding);
  for (std::uint32_t i = 1; i < messages; ++i) {
    stamps_.at(c.id.slot, stamps_.after(first, i)).sent = SendStamp::kWithPrevious;
  }
  if (outstanding_ == 0) quiet_since_ = t;
  c.outstanding += messages;
  outstanding_ += messages;
  c.left -= messages;
  c.unsent = messages * size_;
  if (t >= phase_.begin && t < phase_.end) {
    tally_.sent += messages;
    tally_.bytes_sent += c.unsent;
  }
  send_piece(io, c, &stamps_.at(c.id.slot, first).sent);
}

template <net::Engine IO>
void Worker<IO>::send_piece(IO& io, Connection& c, net::Nanos* stamp) {
  const std::size_t bytes = std::min<std::size_t>(c.unsent, kPiece);
  c.sending = true;
  io.send(c.id, payload_.at(c.send_at, bytes), stamp);
  c.send_at = static_cast<std::uint32_t>(payload_.advance(c.send_at, bytes));
  c.unsent -= bytes;
}

template <net::Engine IO>
void Worker<IO>::on_sent(IO& io, net::ConnId id) {
  Connection& c = connections_[id.slot];
  stirred_ = true;
  c.sending = false;
  if (c.unsent > 0) return send_piece(io, c, nullptr);
  if (worn_out(c)) return replace(io, c);
  if (open_loop_) return offer(c);
  if (c.outstanding < options_.pipeline) grant(io, c, net::now(io));
}

// ---- receiving

template <net::Engine IO>
void Worker<IO>::on_recv(IO& io, net::ConnId id, net::Bytes bytes) {
  Connection& c = connections_[id.slot];
  const net::Nanos t = io.completed_at();
  stirred_ = true;
  if (watch_.is_waiting()) watch_.woke(t);
  if (bytes.empty()) return lose(io, c, Loss::kEnded, "closed_by_peer");
  if (t >= interval_end_) roll_intervals(std::min(t, phase_.end));
  quiet_since_ = t;
  if (t >= phase_.begin) tally_.bytes_received += bytes.size();
  check(io, c, bytes, t, io.completed_span());
  if (c.state != State::kOpen) return;
  if (worn_out(c)) return replace(io, c);
  if (open_loop_) {
    offer(c);
    dispatch(io, t);
  } else {
    grant(io, c, t);
  }
  io.recv(id);
}

template <net::Engine IO>
void Worker<IO>::check(IO& io, Connection& c, net::Bytes bytes, net::Nanos t, net::Nanos span) {
  if (c.suspect || c.oldest_is_wrong || bytes.size() > owed(c) || !are_next(c, bytes)) {
    return examine(io, c, bytes, t, span);
  }
  accept_bytes(c, bytes.size(), t, span);
}

template <net::Engine IO>
bool Worker<IO>::are_next(const Connection& c, net::Bytes bytes) const {
  if (bytes.size() > Payload::kLongest) return false;
  if (!options_.verify || is_broken(Rule::kEveryByte)) return true;
  return std::memcmp(bytes.data(), payload_.at(c.receive_at, bytes.size()).data(), bytes.size()) ==
         0;
}

/// Not all is as it should be, or not known to be.
template <net::Engine IO>
void Worker<IO>::examine(IO& io, Connection& c, net::Bytes bytes, net::Nanos t, net::Nanos span) {
  std::vector<std::byte> again;  // owns what was kept as suspect and turned out to be in step
  const auto suspect_from = [&](std::size_t at, bool final) {
    again = suspect(io, c, bytes.subspan(at), final);
    bytes = again;
  };
  while (!bytes.empty()) {
    std::size_t size = std::min({bytes.size(), owed(c), Payload::kLongest});
    if (c.suspect || size == 0) {
      suspect_from(0, size == 0);
      continue;
    }
    if (c.oldest_is_wrong) {
      size = std::min<std::size_t>(size, size_ - c.received);
    } else if (!are_next(c, bytes.first(size))) {
      const net::Bytes expected = payload_.at(c.receive_at, size);
      const auto wrong = std::ranges::mismatch(bytes.first(size), expected).in1;
      const auto good = static_cast<std::size_t>(wrong - bytes.begin());
      accept_bytes(c, good, t, span);
      suspect_from(good, false);
      continue;
    }
    accept_bytes(c, size, t, span);
    bytes = bytes.subspan(size);
  }
}

template <net::Engine IO>
void Worker<IO>::accept_bytes(Connection& c, std::size_t bytes, net::Nanos t, net::Nanos span) {
  c.receive_at = static_cast<std::uint32_t>(payload_.advance(c.receive_at, bytes));
  std::size_t received = c.received + bytes;
  for (; received >= size_; received -= size_) complete(c, t, span);
  if (is_broken(Rule::kOneSampleAMessage) && received > 0) tally_.latency.record(t - c.sent_at);
  c.received = static_cast<std::uint32_t>(received);
}

/// The last byte of the oldest outstanding message has come.
template <net::Engine IO>
void Worker<IO>::complete(Connection& c, net::Nanos t, net::Nanos span) {
  if (outstanding_ == open_ * options_.pipeline) room_since_ = t;
  SendStamp& slot = stamps_.at(c.id.slot, c.oldest);
  const SendStamp stamp = std::exchange(slot, SendStamp{.due = t});
  if (stamp.sent != SendStamp::kWithPrevious) {
    c.sent_at = stamp.sent + (is_broken(Rule::kSendStamp) ? net::kMillisecond : 0);
  }
  const net::Nanos service = t - c.sent_at;
  const bool from_due = open_loop_ && !is_broken(Rule::kIntendedTime);
  const net::Nanos latency = from_due ? t - stamp.due : service;
  c.oldest = stamps_.after(c.oldest, 1);
  --c.outstanding;
  --outstanding_;
  last_reply_ = t;
  const bool warmup = c.warmup > 0;
  if (warmup) --c.warmup;
  if (std::exchange(c.oldest_is_wrong, false)) {
    if (!warmup) ++tally_.spoiled;
    return;
  }
  if (!warmup) {
    tally_.latency.record(latency);
    tally_.stamp_error.record(span);
    if (open_loop_) {
      tally_.service.record(service);
      tally_.send_lag.record(c.sent_at - stamp.due);
    }
  }
  if (t >= phase_.begin && t < phase_.end) {
    ++tally_.answered_in_window;
    tally_.turnaround += c.sent_at - stamp.due;
    tenths_.record(tally_.tenths, t, latency);
    interval_.record(latency);
  }
}

// ---- wrong bytes

/// Keeps what comes after a wrong byte until it shows what is wrong. A flip leaves the stream in
/// step: the bytes are returned, to be checked on. After all else the connection can't be trusted
/// any more and is closed.
template <net::Engine IO>
std::vector<std::byte> Worker<IO>::suspect(IO& io, Connection& c, net::Bytes bytes, bool final) {
  if (!c.suspect) c.suspect = std::make_unique<Connection::Suspect>();
  std::vector<std::byte>& received = c.suspect->received;
  received.insert(received.end(), bytes.begin(), bytes.end());
  const WrongBytes wrong{.expected_at = c.receive_at,
                         .offset_in_message = c.received,
                         .owed = owed(c),
                         .received = received,
                         .final = final || received.size() >= owed(c)};
  if (is_signature(payload_, wrong)) shared_.signing = true;
  const auto fault = diagnose(
      payload_, wrong, [&](std::size_t position) { return awaited_by_another(c, position); });
  if (!fault) return {};
  ++tally_.corrupt;
  count_error(std::string(name_of(*fault)));
  c.oldest_is_wrong = c.outstanding > 0;
  std::vector<std::byte> rest = std::move(received);
  c.suspect.reset();
  if (*fault == Fault::kFlipped) return rest;
  lose(io, c, Loss::kDistrusted);
  return {};
}

template <net::Engine IO>
bool Worker<IO>::awaited_by_another(const Connection& c, std::size_t position) const {
  return std::ranges::any_of(connections_, [&](const Connection& other) {
    if (other.id == c.id || other.outstanding == 0) return false;
    const std::size_t oldest =
        payload_.advance(other.receive_at, payload_.period() - other.received % payload_.period());
    const std::size_t ahead = payload_.distance(oldest, position);
    return ahead % size_ == 0 && ahead / size_ < other.outstanding;
  });
}

template <net::Engine IO>
void Worker<IO>::count_error(const std::string& kind) {
  tally_.count(kind);
  shared_.errors.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace loadgen
