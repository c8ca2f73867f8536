// A program on an engine, for the tests that every engine has to pass. It records what happens on
// each connection and holds all of it against the contract of net/engine.h, whatever the test is
// about: no callback that was not asked for, none twice, none after on_close or a close().
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/engine.h"
#include "net/epoll_engine.h"
#include "net/poll_engine.h"
#include "net/socket.h"
#include "net/testing_peer.h"
#ifdef ECHOBENCH_URING
#include "net/uring_engine.h"
#endif

namespace net::test {

inline Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What an engine may keep on the side for a connection, and so the most that one receive brings.
inline constexpr std::size_t kMostKept = 64 * 1024;

/// What happened on one connection.
struct History {
  bool opened = false;
  bool closed = false;
  int error = 0;         // of on_close
  std::string received;  // all of it, where the program keeps it
  int pieces = 0;        // on_recv with bytes
  int ends = 0;          // on_recv without
  int sent = 0;          // on_sent

  bool receiving = false;  // asked for and not answered yet
  bool sending = false;
  bool closing = false;  // the program has closed it
};

struct Accepted {
  ConnId id;
  Peer peer;
};

template <class IO>
class Program {
 public:
  explicit Program(Nanos spin) : io_(std::make_unique<IO>(spin)) {}

  IO& io() { return *io_; }
  void destroy_engine() { io_.reset(); }

  /// What this test does when something happens.
  std::function<void(ConnId)> when_opened = [](ConnId) {};
  std::function<void(ConnId, Bytes)> when_received = [](ConnId, Bytes) {};
  std::function<void(ConnId)> when_sent = [](ConnId) {};
  std::function<void(ConnId)> when_closed = [](ConnId) {};
  std::function<void()> when_woken = [] {};
  bool keeps_received = true;
  /// when_sent does nothing but recv().
  bool lets_sent_wait = false;
  bool sent_only_asks_for_more() const { return lets_sent_wait; }

  History& on(ConnId id) { return histories_[{id.slot, id.generation}]; }
  const std::vector<ConnId>& opened() const { return opened_; }
  /// The most that one on_recv has brought.
  std::size_t largest_piece() const { return largest_; }

  /// An echo, as the server does it.
  void echo() {
    keeps_received = false;
    when_opened = [this](ConnId id) { recv(id); };
    when_received = [this](ConnId id, Bytes bytes) { bytes.empty() ? close(id) : send(id, bytes); };
    when_sent = [this](ConnId id) { recv(id); };
  }

  // ---- verbs

  /// Listens on a free port. Accepted connections have this send buffer (0: the system's choice).
  Address listen(const std::string& host = "127.0.0.1", int send_buffer = 0) {
    Fd listener = listen_on(Address::resolve(host, 0), 4096);
    const Address address = Address::of_socket(listener.get());
    if (send_buffer > 0) {
      ::setsockopt(listener.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    }
    io_->listen(std::move(listener));
    return address;
  }
  ConnId connect(const Address& address) { return io_->connect(address); }
  void recv(ConnId id) {
    on(id).receiving = !on(id).closing;
    io_->recv(id);
  }
  void send(ConnId id, Bytes bytes, Nanos* stamp = nullptr) {
    on(id).sending = !on(id).closing;
    io_->send(id, bytes, stamp);
  }
  void send(ConnId id, std::string_view text) { send(id, bytes_of(text)); }
  void close(ConnId id) {
    on(id).closing = true;
    io_->close(id);
  }

  // ---- the loop

  /// Polls until the condition is met; false if it is not in time. Sleeps as long as the engine
  /// does, so an engine that sleeps over something it owes fails.
  template <class Condition>
  [[nodiscard]] bool until(Condition&& met) {
    const Nanos give_up = now() + kPatience;
    while (!met()) {
      if (now() >= give_up) return false;
      io_->poll(*this, give_up);
    }
    return true;
  }

  /// The same where the peers have to do something between the polls.
  template <class Step, class Condition>
  [[nodiscard]] bool drive(Step&& step, Condition&& met) {
    const Nanos give_up = now() + kPatience;
    while (!met()) {
      if (now() >= give_up) return false;
      step();
      io_->poll(*this, now());
    }
    return true;
  }

  /// Looks for events that there should not be.
  void poll_a_while(int polls = 20) {
    for (int i = 0; i < polls; ++i) io_->poll(*this, now() + kMillisecond / 5);
  }

  bool until_closed(ConnId id) {
    return until([&] { return on(id).closed; });
  }

  /// A peer that has connected to what listen() gave, and its connection.
  Accepted accept(const Address& address, int receive_buffer = 0) {
    const std::size_t before = opened_.size();
    Accepted accepted{.id = {}, .peer = Peer(address, receive_buffer)};
    if (!until([&] { return opened_.size() > before; })) ADD_FAILURE() << "nothing was accepted";
    if (opened_.size() > before) accepted.id = opened_.back();
    return accepted;
  }

  std::vector<Accepted> accept(std::size_t count, const Address& address, int receive_buffer = 0) {
    std::vector<Accepted> all;
    all.reserve(count);
    while (all.size() < count) all.push_back(accept(address, receive_buffer));
    return all;
  }
  /// With the streams from `stream` on.
  std::vector<PatternPeer> accept_patterns(std::size_t count, const Address& address,
                                           int receive_buffer = 0, std::uint64_t stream = 0) {
    std::vector<PatternPeer> all;
    all.reserve(count);
    while (all.size() < count) {
      all.emplace_back(accept(address, receive_buffer).peer, stream + all.size());
    }
    return all;
  }

  /// Exchanges small messages on a connection that echoes, until an engine that adapts to them has.
  void warm_up(const Accepted& a) {
    for (int i = 0; i < 40; ++i) {
      const int before = on(a.id).pieces;
      ASSERT_EQ(::send(a.peer.fd(), "warm", 4, MSG_NOSIGNAL), 4);
      ASSERT_TRUE(until([&] { return on(a.id).pieces > before && on(a.id).receiving; }));
      ASSERT_TRUE(ready_for(a.peer.fd(), POLLIN));
      std::array<char, 4> back{};
      ASSERT_EQ(::recv(a.peer.fd(), back.data(), back.size(), 0), 4);
    }
  }

  // ---- the handler

  void on_open(IO&, ConnId id) {
    History& it = on(id);
    EXPECT_FALSE(it.opened || it.closed) << "on_open came twice or late";
    it.opened = true;
    opened_.push_back(id);
    when_opened(id);
  }
  void on_recv(IO&, ConnId id, Bytes bytes) {
    History& it = on(id);
    EXPECT_TRUE(std::exchange(it.receiving, false)) << "on_recv was not asked for";
    EXPECT_TRUE(alive(it)) << "on_recv came late";
    largest_ = std::max(largest_, bytes.size());
    ++(bytes.empty() ? it.ends : it.pieces);
    if (keeps_received) it.received += text_of(bytes);
    when_received(id, bytes);
  }
  void on_sent(IO&, ConnId id) {
    History& it = on(id);
    EXPECT_TRUE(std::exchange(it.sending, false)) << "on_sent was not asked for";
    EXPECT_TRUE(alive(it)) << "on_sent came late";
    ++it.sent;
    when_sent(id);
  }
  void on_close(IO&, ConnId id, int error) {
    History& it = on(id);
    EXPECT_FALSE(it.closed) << "on_close came twice";
    it.closed = it.closing = true;
    it.error = error;
    when_closed(id);
  }
  void on_wake(IO&) { when_woken(); }

 private:
  static bool alive(const History& it) { return it.opened && !it.closed && !it.closing; }

  std::unique_ptr<IO> io_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, History> histories_;
  std::vector<ConnId> opened_;
  std::size_t largest_ = 0;
};

#ifdef ECHOBENCH_URING
using Engines = ::testing::Types<EpollEngine, PollEngine, UringEngine>;
#else
using Engines = ::testing::Types<EpollEngine, PollEngine>;
#endif

struct EngineName {
  template <class IO>
  static std::string GetName(int) {  // NOLINT(readability-identifier-naming): GoogleTest's
    return IO::kName;
  }
};

/// A test of one engine, skipped with the reason where this machine refuses it.
template <class IO>
class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override { make_program(0); }

  void make_program(Nanos spin) {
    try {
      program_ = std::make_unique<Program<IO>>(spin);
    } catch (const BackendUnavailable& unavailable) {
      GTEST_SKIP() << unavailable.what();
    }
  }
  Program<IO>& program() { return *program_; }

 private:
  std::unique_ptr<Program<IO>> program_;
};

}  // namespace net::test
