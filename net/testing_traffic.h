// Random traffic for the tests of the engines: a program that echoes in all the ways the contract
// allows, and peers that send, read, dawdle, finish, reset and come again, each held against the
// one thing that matters: what it gets back is what it sent, in order, and nothing else.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/testing_engine.h"
#include "net/testing_peer.h"

namespace net::test {

template <class IO>
class RandomTraffic {
 public:
  RandomTraffic(Program<IO>& program, unsigned seed, std::size_t connections)
      : program_(program),
        random_(seed),
        listener_(local(), 1024),
        address_(program.listen("127.0.0.1", 16 * 1024)) {
    program.keeps_received = false;
    program.when_opened = [this](ConnId id) { receive(id); };
    program.when_received = [this](ConnId id, Bytes bytes) { echo(id, bytes); };
    program.when_sent = [this](ConnId id) { receive(id); };
    program.when_closed = [this](ConnId id) { ended(id); };
    for (std::size_t i = 0; i < connections; ++i) join();
  }

  void run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) {
      meet();
      for (int i = 0; i < 10 && !talkers_.empty(); ++i) act(below(talkers_.size()));
      if (one_in(3)) attend();
      if (one_in(100)) cut_off();
      program_.io().poll(program_, now());
    }
  }

  /// All say that they have finished, and must have everything back.
  void finish() {
    const auto listen_to_all = [this] {
      meet();
      while (!dawdling_.empty()) attend();
      for (std::size_t i = talkers_.size(); i-- > 0;) {
        if (!talkers_[i].finished) finish_sending(talkers_[i]);
        listen(i, 64 * 1024);
      }
    };
    EXPECT_TRUE(program_.drive(listen_to_all, [this] { return talkers_.empty() && dialled_ == 0; }))
        << talkers_.size() << " peers wait for ever, " << dialled_ << " were never connected";
    EXPECT_GT(talked_, 0U);
  }

 private:
  // The ports of both ends name a connection on either of them.
  using Ends = std::pair<std::uint16_t, std::uint16_t>;

  struct Talker {
    PatternPeer peer;
    Ends ends;
    bool finished = false;
  };

  /// Where the peer has reset the connection, one of them is 0.
  static Ends ends_of(int fd) {
    sockaddr_storage other{};
    socklen_t size = sizeof other;
    ::getpeername(fd, reinterpret_cast<sockaddr*>(&other), &size);
    const std::uint16_t here = Address::of_socket(fd).port();
    const std::uint16_t there = Address(reinterpret_cast<const sockaddr*>(&other), size).port();
    return {std::min(here, there), std::max(here, there)};
  }

  std::size_t below(std::size_t limit) { return random_() % limit; }
  bool one_in(unsigned n) { return random_() % n == 0; }
  /// Mostly small, sometimes large.
  std::size_t some_bytes() { return 1 + below(std::size_t{1} << below(18)); }

  // ---- the program

  void receive(ConnId id) {
    if (!ends_.contains(id.slot)) ends_[id.slot] = ends_of(program_.io().fd(id));
    if (one_in(4)) {
      dawdling_.push_back(id);
    } else {
      program_.recv(id);
    }
  }

  void echo(ConnId id, Bytes bytes) {
    if (bytes.empty()) return program_.close(id);
    if (one_in(2)) return program_.send(id, bytes);
    std::string& own = own_[id.slot] = text_of(bytes);
    program_.send(id, own);
  }

  void ended(ConnId id) {
    const int error = program_.on(id).error;
    const bool expected = error == 0 || (error == ECONNRESET || error == EPIPE);
    EXPECT_TRUE(expected) << error;
    if (error != 0) {
      const bool reset_before_accepted = ends_[id.slot].first == 0;
      EXPECT_TRUE(reset_before_accepted || reset_.contains(ends_[id.slot])) << error;
    }
    reset_.erase(ends_[id.slot]);
    ends_.erase(id.slot);
    own_.erase(id.slot);
  }

  /// Those that were made to wait get their turn.
  void attend() {
    if (dawdling_.empty()) return;
    const ConnId id = dawdling_.front();
    dawdling_.pop_front();
    program_.recv(id);
  }

  /// The program closes a connection in the middle of whatever it does.
  void cut_off() {
    if (ends_.empty()) return;
    const auto it = std::next(ends_.begin(), static_cast<std::ptrdiff_t>(below(ends_.size())));
    for (const ConnId id : program_.opened()) {
      if (id.slot != it->first || program_.on(id).closed) continue;
      cut_.insert(it->second);
      program_.close(id);
      return;
    }
  }

  // ---- the peers

  /// One more connection, from either side.
  void join() {
    if (one_in(2)) {
      program_.connect(listener_.address());
      ++dialled_;
    } else {
      const bool slow = one_in(3);
      talk(Peer(address_, slow ? 8 * 1024 : 0));
    }
  }

  void meet() {
    Peer peer;
    while (listener_.try_accept(peer)) {
      --dialled_;
      talk(std::move(peer));
    }
  }

  void talk(Peer peer) {
    const Ends ends = ends_of(peer.fd());
    talkers_.push_back({PatternPeer(std::move(peer), ++streams_), ends});
  }

  void act(std::size_t which) {
    Talker& talker = talkers_[which];
    const std::size_t what = below(100);
    if (what == 0) {
      reset_.insert(talker.ends);
      talker.peer.peer().reset();
      return leave(which);
    }
    if (what == 1) finish_sending(talker);
    if (what < 50 && !talker.finished) talker.peer.try_send(some_bytes());
    if (what >= 50) listen(which, some_bytes());
  }

  static void finish_sending(Talker& talker) {
    talker.finished = true;
    talker.peer.peer().finish_sending();
  }

  void listen(std::size_t which, std::size_t most) {
    Talker& talker = talkers_[which];
    talker.peer.try_receive(most);
    ASSERT_TRUE(talker.peer.intact()) << "wrong bytes before byte " << talker.peer.received();
    if (!talker.peer.peer().ended()) return;
    const bool cut = cut_.contains(talker.ends);
    ASSERT_TRUE(talker.finished || cut) << "it was closed";
    if (!cut) {
      ASSERT_EQ(talker.peer.received(), talker.peer.sent());
      ASSERT_TRUE(talker.peer.peer().at_end());
    }
    talked_ += talker.peer.received();
    leave(which);
  }

  /// And somebody else comes, until the end.
  void leave(std::size_t which) {
    const bool coming = !talkers_[which].finished;
    cut_.erase(talkers_[which].ends);
    std::swap(talkers_[which], talkers_.back());
    talkers_.pop_back();
    if (coming) join();
  }

  Program<IO>& program_;
  std::mt19937 random_;
  PeerListener listener_;
  Address address_;
  std::vector<Talker> talkers_;
  std::deque<ConnId> dawdling_;
  std::map<std::uint32_t, Ends> ends_;        // of open connections, by slot
  std::map<std::uint32_t, std::string> own_;  // what they send that was not received
  std::set<Ends> cut_, reset_;
  std::uint64_t streams_ = 0;
  std::size_t dialled_ = 0;  // by the program and not accepted yet
  std::size_t talked_ = 0;   // bytes
};

}  // namespace net::test
