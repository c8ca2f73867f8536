// A worker of the load generator in ten thousand worlds (net/simulated_engine.h): servers that echo
// at their leisure, and some that lie, fall silent, hang up, reset or are not there. Every message
// is accounted for, an honest echo is never accused, and no lie goes unnoticed.
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <thread>

#include "loadgen/worker.h"
#include "net/simulated_engine.h"
#include "net/testing_peer.h"
#include "net/testing_seeds.h"

namespace loadgen {
namespace {

using net::SimulatedEngine;
using net::SimulatedPeer;
using net::test::Random;

constexpr std::uint64_t kSeeds = 10'000;

/// Making one takes longer than a life.
const Payload& payload_of(std::size_t message_size) {
  static std::map<std::size_t, Payload> all;
  return all.try_emplace(message_size, 1, message_size).first->second;
}

/// What one server does wrong, once: to the byte with the number `at`.
struct Lie {
  enum class Kind : std::uint8_t { kNone, kFlip, kDrop, kSilence, kFinish, kInsert, kAppend };

  Kind kind = Kind::kNone;
  std::size_t at = 0;
  std::size_t size = 1;  // dropped, inserted or appended
  const SimulatedPeer* told_by = nullptr;
  bool told = false;

  /// All but the byte itself comes as it should.
  bool leaves_in_step() const { return kind == Kind::kFlip; }

  /// The bytes that come back for these, which are those from number `from` on.
  std::string instead_of(std::string_view bytes, std::size_t from) {
    std::string echo(bytes);
    if (kind == Kind::kNone || from + bytes.size() <= at) return echo;
    told = true;
    const std::size_t here = std::max(at, from) - from;
    const bool stops = kind == Kind::kSilence || kind == Kind::kFinish;
    if (stops) echo.resize(here);
    if (kind == Kind::kDrop && at + size > from) echo.erase(here, at + size - from - here);
    if (at < from || stops || kind == Kind::kDrop) return echo;
    const char wrong = static_cast<char>(~static_cast<unsigned char>(echo[here]));
    if (kind == Kind::kFlip) echo[here] = wrong;
    if (kind == Kind::kInsert) echo.insert(here, size, wrong);
    if (kind == Kind::kAppend) echo.insert(here + 1, size, wrong);
    return echo;
  }
};

/// Lets a worker begin and end as loadgen's main thread does.
class Conductor {
 public:
  Conductor(Rendezvous& rendezvous, const std::function<Phase()>& phase)
      : rendezvous_(rendezvous), thread_([this, phase] {
          rendezvous_.all_here(net::now() + net::test::kPatience);
          rendezvous_.release(phase());
          rendezvous_.all_here(net::now() + net::test::kPatience);
          rendezvous_.release({});
        }) {}
  ~Conductor() {
    rendezvous_.leave();
    thread_.join();
  }
  Conductor(const Conductor&) = delete;
  Conductor& operator=(const Conductor&) = delete;

 private:
  Rendezvous& rendezvous_;
  std::thread thread_;
};

class Life {
 public:
  explicit Life(std::uint64_t seed)
      : random_(seed),
        io_(random_.next()),
        options_(some_options()),
        payload_(payload_of(options_.message_size)),
        shared_{.options = options_,
                .payload = payload_,
                .rendezvous = Rendezvous(1),
                .intervals = IntervalLog(1)} {
    io_.answer = [this](SimulatedPeer& peer) { return appear(peer); };
  }

  void run() {
    live([this] { return some_phase(); });
    std::erase_if(lies_, [this](const Lie& lie) { return !has_arrived(lie); });
    expect_all_accounted_for();
    if (is_reliable_ && std::ranges::all_of(lies_, &Lie::leaves_in_step)) expect_exact_complaint();
    if (!lies_.empty()) expect_complaint();
  }

  /// Servers that are honest while they live, which is not for long, and are back after a while.
  void run_among_mortals() {
    options_.timeout = 3600 * net::kSecond;
    options_.rate.reset();
    io_.answer = [this](SimulatedPeer& peer) { return appear_for_a_while(peer); };
    live([this] { return some_messages(); });
    expect_all_accounted_for();
    EXPECT_EQ(tally_.corrupt, 0U);
    EXPECT_EQ(tally_.unanswered, tally_.lost_unanswered) << "all others had an hour";
    if (tally_.connections_opened > 0) {
      EXPECT_EQ(tally_.sent, messages_);
    }
  }

 private:
  void live(const std::function<Phase()>& phase) {
    const net::Fd wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    wake_ = wake.get();
    Worker<SimulatedEngine> worker(shared_, {.connections = options_.connections}, wake_);
    const Conductor conductor(shared_.rendezvous, phase);
    tally_ = worker.run(io_);
  }

  Options some_options() {
    static const net::Address kTarget = net::Address::resolve("127.0.0.1", 8888);
    constexpr std::array kSizes = {1, 8, 64, 333, 5000, 70'000};
    Options options;
    options.target = kTarget;
    options.connections = 1 + random_.below(4);
    options.message_size = static_cast<std::size_t>(kSizes.at(random_.below(kSizes.size())));
    options.pipeline = random_.some(8);
    options.timeout = 200 * net::kMillisecond;
    messages_ = random_.some(std::clamp<std::size_t>(40'000 / options.message_size, 8, 100));
    if (random_.one_in(4)) options.rate = 100'000;
    if (random_.one_in(3)) options.churn = random_.some(8);
    return options;
  }

  Phase some_phase() {
    if (!options_.rate && random_.one_in(2)) return some_messages();
    const net::Nanos start = io_.now();
    const net::Nanos begin = start + static_cast<net::Nanos>(random_.below(net::kMillisecond));
    return {.run = true, .start = start, .begin = begin, .end = begin + net::kMillisecond / 2};
  }

  Phase some_messages() {
    return {.run = true, .start = io_.now(), .begin = io_.now(), .messages = messages_};
  }

  int appear_for_a_while(SimulatedPeer& peer) {
    peer.resets = random_.one_in(2);
    peer.dawdles = random_.some(4);
    peer.finishes = false;
    const std::size_t bytes_of_life = random_.some(options_.message_size * 20);
    peer.when_received = [bytes_of_life](SimulatedPeer& self, std::string_view bytes) {
      if (!self.finishes) self.to_send += bytes;
      self.finishes |= self.received.size() > bytes_of_life;
    };
    constexpr std::array kErrors = {ECONNREFUSED, ECONNRESET, ETIMEDOUT};
    return random_.one_in(3) ? kErrors.at(random_.below(kErrors.size())) : 0;
  }

  /// The server's end of a connection, or an error.
  int appear(SimulatedPeer& peer) {
    Lie& lie = lies_.emplace_back(some_lie());
    lie.told_by = &peer;
    peer.finishes = false;
    peer.resets = random_.one_in(32);
    peer.dawdles = random_.some(4);
    peer.piece = options_.message_size / 8 + random_.some(64 * 1024);
    peer.room = options_.message_size / 8 + random_.some(64 * 1024);
    peer.when_received = [this, &lie](SimulatedPeer& self, std::string_view bytes) {
      self.to_send += lie.instead_of(bytes, self.received.size() - bytes.size());
      self.finishes = lie.told && lie.kind == Lie::Kind::kFinish;
      if (random_.one_in(2000)) interrupt();
    };
    constexpr std::array kErrors = {ECONNREFUSED, ECONNRESET, EADDRNOTAVAIL,
                                    SimulatedEngine::kSilence};
    const int error = random_.one_in(16) ? kErrors.at(random_.below(kErrors.size())) : 0;
    if (error != 0 || peer.resets) is_reliable_ = false;
    return error;
  }

  Lie some_lie() {
    Lie lie;
    if (!random_.one_in(8)) return lie;
    lie.kind = static_cast<Lie::Kind>(1 + random_.below(6));
    lie.at = random_.some(options_.message_size * 20) - 1;
    lie.size = random_.some(options_.message_size * 3);
    const bool last = lie.kind == Lie::Kind::kAppend || random_.one_in(8);
    if (last) lie.at = options_.message_size * messages_ - 1;
    return lie;
  }

  void interrupt() {
    shared_.stop = true;
    ::eventfd_write(wake_, 1);
  }

  /// What nobody waits for may come too late to be seen.
  bool has_arrived(const Lie& lie) {
    if (lie.kind != Lie::Kind::kAppend || !lie.told) return lie.told;
    const bool all_went = lie.told_by->sent == lie.told_by->to_send.size();
    if (options_.churn || !all_went) is_reliable_ = false;
    return is_reliable_;
  }

  void expect_all_accounted_for() {
    const std::uint64_t samples = static_cast<std::uint64_t>(tally_.latency.count());
    const std::uint64_t began = options_.rate ? tally_.due - tally_.unsent : tally_.sent;
    EXPECT_EQ(began, samples + tally_.unanswered + tally_.spoiled);
    EXPECT_LE(tally_.lost_unanswered, tally_.unanswered);
    if (options_.churn) return;
    EXPECT_LE(tally_.connections_remade, tally_.connections_lost);
    const std::uint64_t first = tally_.connections_opened - tally_.connections_remade;
    EXPECT_EQ(first + tally_.connections_failed, options_.connections);
  }
  void expect_exact_complaint() {
    EXPECT_EQ(tally_.corrupt, lies_.size());
    EXPECT_EQ(tally_.unanswered, 0U);
    EXPECT_EQ(tally_.connections_lost, 0U);
    EXPECT_EQ(tally_.errors["flipped"], lies_.size());
    EXPECT_LE(tally_.errors.size(), 1U);
  }
  void expect_complaint() {
    EXPECT_GT(tally_.corrupt + tally_.connections_lost, 0U) << "a lie went unnoticed";
    EXPECT_FALSE(tally_.errors.empty());
    const bool hung_up =
        std::ranges::any_of(lies_, [](const Lie& lie) { return lie.kind == Lie::Kind::kFinish; });
    if (is_reliable_ && hung_up) {
      EXPECT_GT(tally_.errors["closed_by_peer"], 0U);
    }
  }

  Random random_;
  SimulatedEngine io_;
  std::size_t messages_ = 0;
  Options options_;
  const Payload& payload_;
  Shared shared_;
  int wake_ = -1;
  std::deque<Lie> lies_;     // by connection
  bool is_reliable_ = true;  // all connections stand
  Tally tally_;
};

TEST(Simulated, WorkerAccountsForEveryMessage) {
  net::test::for_each_seed(kSeeds, [](std::uint64_t seed) { Life(seed).run(); });
}

TEST(Simulated, WhatIsLostIsMadeAnew) {
  net::test::for_each_seed(kSeeds, [](std::uint64_t seed) { Life(seed).run_among_mortals(); });
}

}  // namespace
}  // namespace loadgen
