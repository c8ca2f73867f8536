// A kernel without sockets, for the tests of what stands on an engine: whatever TCP and the
// contract of net/engine.h allow happens here, in an order that follows from a seed alone.
//
// The world is a set of steps that are possible: a peer sends, reads, finishes or resets; the
// kernel takes some of what the program sends; a completion is delivered. The dice take one after
// the other, so that every order across connections comes, each piece is as short as it can be, and
// any connection may wait for long. Time passes with the steps; where none is possible, it jumps.
//
// And it is strict where the real ones are lenient: a verb that the contract does not allow, bytes
// that change while they are being sent, or a wait for what can never come ends the test with an
// exception. What on_recv gave is overwritten when it returns.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/conn_table.h"
#include "net/engine.h"
#include "net/simulated_peer.h"
#include "net/testing_seeds.h"

namespace net {

class SimulatedEngine {
 public:
  static constexpr const char* kName = "simulated";
  /// An answer that never comes.
  static constexpr int kSilence = -1;

  explicit SimulatedEngine(std::uint64_t seed)
      : random_(seed), hears_unasked_(random_.one_in(2)), puts_sent_off_(random_.one_in(2)) {}

  // ---- the world

  /// Somebody who will connect, if the program listens. Valid as long as the engine.
  SimulatedPeer& invite(SimulatedPeer peer) { return begin(std::move(peer), State::kCalling).peer; }
  /// The other end of a connection that has not ended.
  SimulatedPeer& peer(ConnId id) { return find(id)->peer; }
  /// Whether the program has sent FIN on it.
  bool finished(ConnId id) const { return find(id)->fin; }

  /// Who answers a connect: makes the peer, and returns 0, the errno to fail with, or kSilence.
  std::function<int(SimulatedPeer&)> answer = [](SimulatedPeer&) { return ECONNREFUSED; };

  /// That a step takes.
  Nanos longest_step = 20 * kMicrosecond;

  /// Nothing can happen any more but what the program does.
  bool settled() { return !find_steps(); }
  /// Connections that have not ended.
  std::uint32_t open() const { return table_.used(); }
  Nanos now() const { return now_; }

  // ---- the contract

  void listen(Fd) { listening_ = true; }
  void stop_listening() { listening_ = false; }
  ConnId connect(const Address& address, const Departure& departure = {});
  void watch(int fd) { watched_ = fd; }

  void recv(ConnId id);
  void send(ConnId id, Bytes bytes, Nanos* stamp = nullptr);
  void shutdown(ConnId id);
  void close(ConnId id);

  template <class H>
  void poll(H& handler, Nanos deadline);

  Nanos completed_at() const { return now_; }
  Nanos completed_span() const { return 0; }
  int fd(ConnId id) const;
  std::size_t unread(ConnId id) const;
  std::size_t unacknowledged(ConnId id) const;
  const EngineCounters& counters() const { return counters_; }
  std::string description() const { return kName; }

 private:
  static constexpr std::size_t kMostRounds = 200'000;
  static constexpr std::size_t kBatch = 16;
  static constexpr std::size_t kNotYet = 20;  // what happens once rarely happens at once
  static constexpr std::size_t kMostReceived = 64 * 1024;
  static constexpr std::byte kPoison{0xdd};

  enum class State : std::uint8_t { kCalling, kConnecting, kEstablished, kOpen, kEnded };

  /// A connection, from the first SYN until both ends know that it is over.
  struct Link {
    SimulatedPeer peer;
    ConnId id;
    State state = State::kCalling;
    bool dialled = false;  // by the program
    int answer = 0;        // to that
    int error = 0;         // not told to the program yet
    std::string inward;    // on its way to the program
    std::string outward;
    bool fin = false;  // behind what is outward
    bool reset = false;
    bool receiving = false;
    bool sending = false;
    bool closing = false;
    Bytes outgoing;        // of the program's send, where it stands
    std::string promised;  // what stood there then
    std::string own;       // where it was received: what would have been overwritten
    std::size_t taken = 0;
    Nanos* stamp = nullptr;
    mutable Fd options;  // a socket that only carries what setsockopt(2) says

    bool alive() const { return state == State::kOpen && !closing; }
  };
  struct Conn {
    std::uint32_t generation = 0;
    Link* link = nullptr;
  };

  enum class Kind : std::uint8_t {
    kAccept,
    kAnswer,
    kPeerSends,
    kPeerFinishes,
    kPeerResets,
    kPeerReads,
    kTake,
    kOnOpen,  // from here on: completions
    kOnRecv,
    kOnSent,
    kOnClose
  };
  struct Step {
    Kind kind;
    Link* link;
  };

  Link& begin(SimulatedPeer peer, State state);
  Link* find(ConnId id) const;
  Link* find_alive(ConnId id, const char* verb) const;
  [[noreturn]] static void broken(const Link& link, const std::string& rule);

  bool find_steps();
  void steps_of_peer(Link& link);
  void steps_of_kernel(Link& link);
  static bool is_over(const Link& link);
  bool sent_matters(const Link& link) const;

  template <class H>
  void take(H& handler, Step step);
  template <class H>
  void deliver(H& handler, Kind kind, Link& link);
  template <class H>
  void on_recv(H& handler, Link& link);
  template <class H>
  void on_close(H& handler, Link& link);
  void move_world(Kind kind, Link& link);
  void accept(Link& link);
  void peer_sends(Link& link);
  void peer_resets(Link& link);
  void peer_reads(Link& link);
  void take_outgoing(Link& link);
  void keep_received();
  bool is_woken() const;

  /// As often as not all of it.
  std::size_t part_of(std::size_t size) { return random_.one_in(2) ? size : random_.some(size); }

  test::Random random_;
  bool hears_unasked_;  // tells of a reset though nothing was asked for
  bool puts_sent_off_;  // where the handler allows it
  bool sent_can_wait_ = false;
  bool listening_ = true;
  int watched_ = -1;
  Nanos now_ = kSecond;
  std::size_t rounds_ = 0;  // of steps, over all polls
  std::deque<Link> links_;
  std::vector<Link*> live_;
  std::vector<Step> steps_;
  mutable ConnTable<Conn> table_;
  std::vector<std::byte> buffer_;  // what on_recv gives,
  Bytes leased_;                   // until it returns
  std::vector<Link*> borrowers_;   // sends of that
  EngineCounters counters_;
};

// ---- verbs

inline SimulatedEngine::Link& SimulatedEngine::begin(SimulatedPeer peer, State state) {
  Link& link = links_.emplace_back();
  link.peer = std::move(peer);
  link.state = state;
  live_.push_back(&link);
  return link;
}

inline SimulatedEngine::Link* SimulatedEngine::find(ConnId id) const {
  const Conn* conn = table_.find(id);
  return conn == nullptr ? nullptr : conn->link;
}

/// nullptr where the verb does nothing.
inline SimulatedEngine::Link* SimulatedEngine::find_alive(ConnId id, const char* verb) const {
  Link* link = find(id);
  if (link == nullptr || link->closing) return nullptr;
  if (link->state != State::kOpen) broken(*link, std::string(verb) + " before on_open");
  return link;
}

inline void SimulatedEngine::broken(const Link& link, const std::string& rule) {
  throw std::logic_error("connection " + std::to_string(link.id.slot) + ": " + rule);
}

inline ConnId SimulatedEngine::connect(const Address&, const Departure&) {
  Link& link = begin({}, State::kConnecting);
  link.dialled = true;
  link.answer = answer(link.peer);
  link.id = table_.add();
  table_[link.id.slot].link = &link;
  return link.id;
}

inline void SimulatedEngine::recv(ConnId id) {
  Link* link = find_alive(id, "recv");
  if (link == nullptr) return;
  if (link->receiving) broken(*link, "recv while one is outstanding");
  link->receiving = true;
}

inline void SimulatedEngine::send(ConnId id, Bytes bytes, Nanos* stamp) {
  Link* link = find_alive(id, "send");
  if (link == nullptr) return;
  if (link->sending) broken(*link, "send while one is outstanding");
  if (bytes.empty()) broken(*link, "send of nothing");
  if (link->fin && link->error == 0) link->error = EPIPE;
  link->sending = true;
  link->outgoing = bytes;
  link->promised.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  link->taken = 0;
  link->stamp = stamp;
  const std::less<> before;
  const bool leased = !before(bytes.data(), leased_.data()) &&
                      before(bytes.data(), leased_.data() + leased_.size());
  if (leased) borrowers_.push_back(link);
}

inline void SimulatedEngine::shutdown(ConnId id) {
  Link* link = find_alive(id, "shutdown");
  if (link == nullptr) return;
  if (link->sending) broken(*link, "shutdown while a send is outstanding");
  link->fin = true;
}

inline void SimulatedEngine::close(ConnId id) {
  Link* link = find(id);
  if (link == nullptr || link->closing) return;
  link->closing = true;
  link->error = 0;
}

inline int SimulatedEngine::fd(ConnId id) const {
  const Link* link = find(id);
  if (link == nullptr) return -1;
  if (!link->options) link->options = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return link->options.get();
}

inline std::size_t SimulatedEngine::unread(ConnId id) const {
  const Link* link = find(id);
  return link == nullptr ? 0 : link->inward.size();
}

/// Here a host acknowledges what its program has read: the latest that TCP allows.
inline std::size_t SimulatedEngine::unacknowledged(ConnId id) const {
  const Link* link = find(id);
  return link == nullptr ? 0 : link->outward.size();
}

// ---- what is possible

inline bool SimulatedEngine::find_steps() {
  std::erase_if(live_, [](const Link* link) { return is_over(*link); });
  steps_.clear();
  for (Link* link : live_) {
    steps_of_peer(*link);
    if (link->state != State::kEnded) steps_of_kernel(*link);
  }
  return !steps_.empty();
}

inline bool SimulatedEngine::is_over(const Link& link) {
  const SimulatedPeer& peer = link.peer;
  const bool knows = peer.gone || peer.deaf() || peer.end != SimulatedPeer::End::kNone;
  return link.state == State::kEnded && (knows || !peer.connected);
}

inline void SimulatedEngine::steps_of_peer(Link& link) {
  const SimulatedPeer& peer = link.peer;
  if (link.state == State::kCalling) steps_.push_back({Kind::kAccept, &link});
  if (!peer.connected || peer.gone || peer.end == SimulatedPeer::End::kReset) return;
  const bool has_more = peer.sent < peer.to_send.size();
  const bool may_send = link.inward.size() < peer.room || link.state == State::kEnded;
  if (has_more && may_send) steps_.push_back({Kind::kPeerSends, &link});
  const bool may_finish = !peer.waits_for_fin || peer.end == SimulatedPeer::End::kFin;
  const bool finishes = peer.finishes && may_finish && !has_more && !peer.finished;
  if (finishes) steps_.push_back({Kind::kPeerFinishes, &link});
  if (peer.resets) steps_.push_back({Kind::kPeerResets, &link});
  const bool ends = (link.fin || link.reset) && peer.end == SimulatedPeer::End::kNone;
  if (!peer.deaf() && (ends || !link.outward.empty())) steps_.push_back({Kind::kPeerReads, &link});
}

inline void SimulatedEngine::steps_of_kernel(Link& link) {
  const bool asked =
      link.state == State::kOpen ? link.receiving || link.sending || hears_unasked_ : link.dialled;
  const bool fails = link.error != 0 && asked;
  const bool unsent = link.sending && link.taken < link.promised.size();
  const bool room = link.outward.size() < link.peer.room || link.peer.deaf();
  if (unsent && room && link.error == 0) steps_.push_back({Kind::kTake, &link});
  if (link.closing || fails) steps_.push_back({Kind::kOnClose, &link});
  if (link.closing) return;
  const bool answered = link.state == State::kConnecting && link.answer != kSilence;
  if (answered) steps_.push_back({Kind::kAnswer, &link});
  if (link.state == State::kEstablished) steps_.push_back({Kind::kOnOpen, &link});
  if (link.state != State::kOpen) return;
  const bool readable = !link.inward.empty() || (link.peer.finished && !link.peer.gone);
  if (link.receiving && readable) steps_.push_back({Kind::kOnRecv, &link});
  if (link.sending && !unsent && sent_matters(link)) steps_.push_back({Kind::kOnSent, &link});
}

inline bool SimulatedEngine::sent_matters(const Link& link) const {
  const bool told_by_peer = !link.inward.empty() || link.peer.finished || link.error != 0;
  return !sent_can_wait_ || !puts_sent_off_ || told_by_peer;
}

// ---- one batch

template <class H>
void SimulatedEngine::poll(H& handler, Nanos deadline) {
  static_assert(Handler<H, SimulatedEngine>);
  sent_can_wait_ = net::sent_can_wait(handler);
  const std::size_t batch = random_.some(kBatch);
  std::size_t completions = 0;
  ++counters_.waits;
  do {
    if (++rounds_ > kMostRounds) throw std::logic_error("it goes on for ever");
    for (std::size_t i = 0; i < batch && find_steps(); ++i) {
      const Step step = steps_[random_.below(steps_.size())];
      if (step.kind >= Kind::kOnOpen) ++completions;
      take(handler, step);
    }
    if (is_woken()) {
      ++completions;
      handler.on_wake(*this);
    }
    if (completions > 0 || find_steps()) continue;
    if (deadline == kNever) throw std::logic_error("it waits for what can never come");
    now_ = std::max(now_, deadline);
  } while (completions == 0 && now_ < deadline);
}

template <class H>
void SimulatedEngine::take(H& handler, Step step) {
  now_ += static_cast<Nanos>(random_.some(static_cast<std::size_t>(longest_step)));
  if (step.kind >= Kind::kOnOpen) {
    deliver(handler, step.kind, *step.link);
  } else {
    move_world(step.kind, *step.link);
  }
}

template <class H>
void SimulatedEngine::deliver(H& handler, Kind kind, Link& link) {
  switch (kind) {
    case Kind::kOnOpen:
      link.state = State::kOpen;
      return handler.on_open(*this, link.id);
    case Kind::kOnRecv:
      return on_recv(handler, link);
    case Kind::kOnSent:
      link.sending = false;
      return handler.on_sent(*this, link.id);
    default:
      return on_close(handler, link);
  }
}

template <class H>
void SimulatedEngine::on_recv(H& handler, Link& link) {
  link.receiving = false;
  if (link.inward.empty()) return handler.on_recv(*this, link.id, Bytes());
  const std::size_t size = part_of(std::min(link.inward.size(), kMostReceived));
  const auto bytes = std::as_bytes(std::span(link.inward).first(size));
  buffer_.assign(bytes.begin(), bytes.end());
  link.inward.erase(0, size);
  leased_ = buffer_;
  handler.on_recv(*this, link.id, leased_);
  keep_received();
}

/// As the contract says, what was received and not taken at once is kept on the side.
inline void SimulatedEngine::keep_received() {
  for (Link* link : borrowers_) {
    const auto* first = reinterpret_cast<const char*>(link->outgoing.data());
    link->own.assign(first, link->outgoing.size());
    link->outgoing = std::as_bytes(std::span(link->own));
    ++counters_.parked;
  }
  borrowers_.clear();
  leased_ = {};
  std::ranges::fill(buffer_, kPoison);
}

/// Data that nobody will read turn close(2) into a reset, and so does SO_LINGER with 0 s.
template <class H>
void SimulatedEngine::on_close(H& handler, Link& link) {
  linger at_once{};
  socklen_t size = sizeof at_once;
  if (link.options) ::getsockopt(link.options.get(), SOL_SOCKET, SO_LINGER, &at_once, &size);
  link.closing = true;
  link.state = State::kEnded;
  link.sending = false;
  link.reset = at_once.l_onoff != 0 || !link.inward.empty();
  link.fin = true;
  link.options.reset();
  handler.on_close(*this, link.id, link.error);
  table_.free(link.id);
}

inline bool SimulatedEngine::is_woken() const {
  if (watched_ < 0) return false;
  pollfd one{.fd = watched_, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, 0) == 1;
}

// ---- what happens outside of the program

inline void SimulatedEngine::move_world(Kind kind, Link& link) {
  switch (kind) {
    case Kind::kAccept:
      return accept(link);
    case Kind::kAnswer:
      link.peer.connected = link.answer == 0;
      link.error = link.answer;
      link.state = link.answer == 0 ? State::kEstablished : State::kConnecting;
      if (link.answer != 0) link.answer = kSilence;
      return;
    case Kind::kPeerSends:
      return peer_sends(link);
    case Kind::kPeerFinishes:
      link.peer.finished = true;
      return;
    case Kind::kPeerResets:
      return peer_resets(link);
    case Kind::kPeerReads:
      return peer_reads(link);
    default:
      return take_outgoing(link);
  }
}

inline void SimulatedEngine::accept(Link& link) {
  if (!random_.one_in(kNotYet)) return;
  if (!listening_) {
    link.state = State::kEnded;
    return;
  }
  ++counters_.accepted;
  link.id = table_.add();
  table_[link.id.slot].link = &link;
  link.state = State::kEstablished;
  link.peer.connected = true;
}

inline void SimulatedEngine::peer_sends(Link& link) {
  SimulatedPeer& peer = link.peer;
  if (link.state == State::kEnded) {  // it is answered with a reset, which overtakes what is unread
    peer.end = SimulatedPeer::End::kReset;
    return;
  }
  const std::size_t room = peer.room - link.inward.size();
  const std::size_t size = std::min({peer.to_send.size() - peer.sent, peer.piece, room});
  const std::size_t piece = part_of(size);
  link.inward += std::string_view(peer.to_send).substr(peer.sent, piece);
  peer.sent += piece;
}

inline void SimulatedEngine::peer_resets(Link& link) {
  if (!random_.one_in(kNotYet)) return;
  link.peer.gone = true;
  link.outward.clear();
  if (random_.one_in(2)) link.inward.clear();
  if (link.closing || link.state == State::kEnded) return;
  const bool vanished = link.state == State::kOpen && random_.one_in(10);
  link.error = vanished ? ETIMEDOUT : ECONNRESET;
}

inline void SimulatedEngine::peer_reads(Link& link) {
  SimulatedPeer& peer = link.peer;
  if (!random_.one_in(peer.dawdles)) return;
  if (link.reset && random_.one_in(2)) link.outward.clear();
  if (link.outward.empty()) {
    peer.end = link.reset ? SimulatedPeer::End::kReset : SimulatedPeer::End::kFin;
    return;
  }
  const std::size_t size = part_of(std::min(link.outward.size(), peer.piece));
  const std::string piece = link.outward.substr(0, size);
  link.outward.erase(0, size);
  peer.received += piece;
  if (peer.when_received) peer.when_received(peer, piece);
}

inline void SimulatedEngine::take_outgoing(Link& link) {
  if (link.peer.gone || link.peer.deaf()) {
    link.taken = link.promised.size();  // into the void
    if (!link.closing) link.error = random_.one_in(2) ? ECONNRESET : EPIPE;
    return;
  }
  const std::size_t room = link.peer.room - link.outward.size();
  const std::size_t size = part_of(std::min(link.promised.size() - link.taken, room));
  const auto* at = reinterpret_cast<const char*>(link.outgoing.data()) + link.taken;
  const std::string_view piece(at, size);
  if (piece != std::string_view(link.promised).substr(link.taken, size)) {
    broken(link, "the bytes of a send changed before on_sent");
  }
  if (link.taken == 0 && link.stamp != nullptr) *link.stamp = now_;
  link.outward += piece;
  link.taken += size;
}

static_assert(Engine<SimulatedEngine>);

}  // namespace net
