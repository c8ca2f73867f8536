// The echo, the signing echo and the relay in ten thousand worlds each (net/simulated_engine.h):
// clients that dawdle, hang up or reset, a next hop that does the same, in every order. Whoever
// reads on gets all that is due, nobody gets anything else, and nothing is left behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/simulated_engine.h"
#include "net/testing_peer.h"
#include "net/testing_seeds.h"
#include "server/echo_server.h"
#include "server/relay.h"
#include "server/signing_echo.h"

namespace server {
namespace {

using net::SimulatedEngine;
using net::SimulatedPeer;
using net::test::Random;

constexpr std::uint64_t kSeeds = 10'000;
constexpr std::size_t kMostClients = 6;
constexpr std::size_t kMostBytes = 8 * 1024;
constexpr std::size_t kMuch = 200 * 1024;  // more than a node passes on in one piece
constexpr std::size_t kOneBatch = 16;      // of the engine's completions
const std::string kSignature = " > here";

/// Bytes that stand nowhere else, with the ends of some lines.
std::string some_text(Random& random) {
  std::string text =
      net::test::pattern(random.next() >> 40, random.some(random.one_in(16) ? kMuch : kMostBytes));
  for (std::size_t at = random.some(200); at < text.size(); at += random.some(200)) {
    text[at] = random.one_in(4) ? '\r' : '\n';
    if (at > 0 && random.one_in(2)) text[at - 1] = '\r';
  }
  return text;
}

SimulatedPeer some_peer(Random& random) {
  SimulatedPeer peer;
  if (!random.one_in(8)) peer.to_send = some_text(random);
  const std::size_t least = 1 + peer.to_send.size() / 64;
  const std::size_t most = std::max(peer.to_send.size(), kMostBytes);
  peer.hangs_up = random.one_in(8);
  peer.resets = random.one_in(8);
  peer.dawdles = random.one_in(2) ? 1 : random.some(16);
  peer.piece = least + random.below(most);
  peer.room = least + random.below(random.one_in(2) ? 256 : most);
  return peer;
}

/// Stays until it has everything.
bool is_patient(const SimulatedPeer& peer) { return !peer.resets && !peer.hangs_up; }

/// What a node returns or passes on, as docs/PROTOCOL.md says it.
std::string signed_lines(std::string_view text) {
  std::string lines;
  while (!text.empty()) {
    const std::size_t size = std::min(text.find('\n'), text.size());
    const bool returned = size > 0 && text[size - 1] == '\r';
    lines += text.substr(0, size - (returned ? 1 : 0));
    lines += kSignature;
    if (returned) lines += '\r';
    if (size < text.size()) lines += '\n';
    text.remove_prefix(std::min(size + 1, text.size()));
  }
  return lines;
}

void expect_received(const SimulatedPeer& peer, const std::string& due, bool undisturbed) {
  EXPECT_TRUE(due.starts_with(peer.received))
      << "of " << due.size() << " bytes, wrong ones among the first " << peer.received.size();
  if (!undisturbed) return;
  EXPECT_EQ(peer.received.size(), due.size());
  EXPECT_EQ(peer.end, SimulatedPeer::End::kFin);
}

/// A server, its clients and the world they live in.
struct World {
  explicit World(std::uint64_t seed, Options given = {})
      : random(seed),
        io(random.next()),
        options(std::move(given)),
        house(options, random.one_in(8) ? 2U : 100U, signals) {
    const std::size_t number = random.some(kMostClients);
    for (std::size_t i = 0; i < number; ++i) clients.push_back(&io.invite(some_peer(random)));
  }

  template <class Service>
  void live(Service& service) {
    while (!io.settled()) io.poll(service, io.now());
    EXPECT_EQ(io.open(), 0U) << "connections never end";
    EXPECT_EQ(house.connections(), 0U);
  }
  /// For a while; then the next poll finds a signal.
  template <class Service>
  void live_until_told_to_end(Service& service) {
    io.watch(signals.fd());
    options.drain_timeout = random.one_in(8) ? net::kMillisecond : 10 * net::kSecond;
    for (std::size_t polls = random.some(400); polls > 0 && !io.settled(); --polls) {
      io.poll(service, io.now());
    }
    ::raise(SIGTERM);
  }
  bool had_room() { return house.counters().turned_away == 0; }

  Random random;
  SimulatedEngine io;
  Options options;
  net::Signals signals{SIGTERM, SIGINT};
  Housekeeping house;
  std::vector<SimulatedPeer*> clients;
};

TEST(Simulated, EchoReturnsEveryByte) {
  net::test::for_each_seed(kSeeds, [](std::uint64_t seed) {
    World world(seed);
    EchoServer<SimulatedEngine> echo(world.house);
    world.live(echo);
    for (const SimulatedPeer* client : world.clients) {
      expect_received(*client, client->to_send, world.had_room() && is_patient(*client));
    }
  });
}

TEST(Simulated, SigningEchoSignsEveryLine) {
  net::test::for_each_seed(kSeeds, [](std::uint64_t seed) {
    World world(seed);
    SigningEcho<SimulatedEngine> echo(world.house, kSignature);
    world.live(echo);
    for (const SimulatedPeer* client : world.clients) {
      expect_received(*client, signed_lines(client->to_send),
                      world.had_room() && is_patient(*client));
    }
  });
}

/// Notes how much of whom has arrived before it was told to end.
class WatchedEcho : public EchoServer<SimulatedEngine> {
 public:
  using EchoServer::EchoServer;

  void on_recv(SimulatedEngine& io, net::ConnId c, net::Bytes bytes) {
    if (!io.finished(c)) arrived[&io.peer(c)] += bytes.size();
    EchoServer::on_recv(io, c, bytes);
  }

  std::map<const SimulatedPeer*, std::size_t> arrived;
};

/// Whoever is connected when a signal comes gets back all of it that has arrived, and then a FIN;
/// or a reset, where it went on sending.
TEST(Simulated, DrainReturnsWhatHasArrived) {
  net::test::for_each_seed(kSeeds, [](std::uint64_t seed) {
    World world(seed);
    WatchedEcho echo(world.house);
    world.live_until_told_to_end(echo);
    const bool in_time = world.house.run(world.io, echo) == 0 && world.house.connections() == 0;
    if (!in_time) return;
    world.live(echo);
    for (const SimulatedPeer* client : world.clients) {
      expect_received(*client, client->to_send, false);
      if (!world.had_room() || !is_patient(*client) || !client->connected) continue;
      EXPECT_GE(client->received.size(), echo.arrived[client]);
      const bool had_more = client->received.size() < client->to_send.size();
      EXPECT_TRUE(client->end == SimulatedPeer::End::kFin || had_more);
    }
  });
}

/// Notes when whoever is connected has moved last, and when the last of all has gone.
class IdleWatch : public EchoServer<SimulatedEngine> {
 public:
  explicit IdleWatch(World& world) : EchoServer(world.house), world_(world) {}

  void on_open(SimulatedEngine& io, net::ConnId c) {
    const std::uint64_t before = world_.house.counters().turned_away;
    EchoServer::on_open(io, c);
    if (world_.house.counters().turned_away == before) moved_[&io.peer(c)] = io.now();
  }
  void on_recv(SimulatedEngine& io, net::ConnId c, net::Bytes bytes) {
    moved_[&io.peer(c)] = io.now();
    EchoServer::on_recv(io, c, bytes);
  }
  void on_sent(SimulatedEngine& io, net::ConnId c) {
    moved_[&io.peer(c)] = io.now();
    EchoServer::on_sent(io, c);
  }
  void on_close(SimulatedEngine& io, net::ConnId c, int error) {
    const SimulatedPeer& peer = io.peer(c);
    const bool by_the_server = error == 0 && !peer.finished && !peer.gone;
    if (by_the_server && moved_.contains(&peer)) {
      // The time of a move is kept in whole milliseconds.
      EXPECT_GT(io.now() - moved_[&peer], world_.options.idle_timeout - net::kMillisecond);
    }
    EchoServer::on_close(io, c, error);
    if (++ended_ == world_.clients.size()) ::raise(SIGTERM);
  }

 private:
  World& world_;
  std::map<const SimulatedPeer*, net::Nanos> moved_;
  std::size_t ended_ = 0;
};

/// All come to an end, those who say nothing and wait too; nobody who has moved is cut off.
TEST(Simulated, TheIdleAreClosedAndNobodyElse) {
  net::test::for_each_seed(kSeeds, [](std::uint64_t seed) {
    Options options;
    options.idle_timeout = static_cast<net::Nanos>(1 + Random(seed).some(4)) * net::kMillisecond;
    World world(seed, options);
    for (SimulatedPeer* client : world.clients) client->waits_for_fin = world.random.one_in(2);
    world.io.longest_step = net::kMillisecond;
    world.io.watch(world.signals.fd());
    IdleWatch echo(world);
    EXPECT_EQ(world.house.run(world.io, echo), 0);
    EXPECT_EQ(world.io.open(), 0U);
    for (const SimulatedPeer* client : world.clients) {
      expect_received(*client, client->to_send, false);
    }
  });
}

/// Is told a second time while it drains, and counts what happens then.
class ToldTwice : public EchoServer<SimulatedEngine> {
 public:
  explicit ToldTwice(World& world) : EchoServer(world.house), world_(world) {}

  void on_sent(SimulatedEngine& io, net::ConnId c) {
    EchoServer::on_sent(io, c);
    if (told_) ++later_;
    if (!world_.house.draining() || told_ || !world_.random.one_in(4)) return;
    told_ = true;
    ::raise(SIGINT);
  }

  bool told() const { return told_; }
  std::size_t later() const { return later_; }

 private:
  World& world_;
  bool told_ = false;
  std::size_t later_ = 0;
};

TEST(Simulated, ASecondSignalEndsAtOnce) {
  net::test::for_each_seed(kSeeds, [](std::uint64_t seed) {
    World world(seed);
    ToldTwice echo(world);
    world.live_until_told_to_end(echo);
    const int status = world.house.run(world.io, echo);
    if (echo.told()) {
      EXPECT_TRUE(status == 128 + SIGINT || world.house.connections() == 0) << status;
      EXPECT_LE(echo.later(), kOneBatch);
    } else {
      EXPECT_EQ(status, 0);
    }
    while (world.signals.next() != 0) {
    }
    for (const SimulatedPeer* client : world.clients) {
      expect_received(*client, client->to_send, false);
    }
  });
}

/// Both ends of a way through the relay.
struct Way {
  const SimulatedPeer* client;
  const SimulatedPeer* next_hop;
};

/// Notes which next hop is whose.
class WatchedRelay : public Relay<SimulatedEngine> {
 public:
  WatchedRelay(World& world, const net::Address& next_hop, const std::string& signature)
      : Relay(world.house, next_hop, signature) {
    world.io.answer = [this, &world](SimulatedPeer& peer) {
      peer = some_peer(world.random);
      peer.waits_for_fin = world.random.one_in(2);
      ways.push_back({&world.io.peer(opening_), &peer});
      return world.random.one_in(16) ? ECONNREFUSED : 0;
    };
  }
  void on_open(SimulatedEngine& io, net::ConnId c) {
    opening_ = c;
    Relay::on_open(io, c);
  }

  std::vector<Way> ways;

 private:
  net::ConnId opening_;
};

void expect_no_end_made_up(const SimulatedPeer& reset, const SimulatedPeer& other) {
  if (!reset.gone || reset.finished) return;
  EXPECT_NE(other.end, SimulatedPeer::End::kFin) << "a reset was passed on as a FIN";
}

TEST(Simulated, RelayDrainsToo) {
  net::test::for_each_seed(kSeeds, [](std::uint64_t seed) {
    World world(seed);
    const net::Address nowhere;
    WatchedRelay relay(world, nowhere, "");
    world.live_until_told_to_end(relay);
    EXPECT_EQ(world.house.run(world.io, relay), 0);
    for (const auto& [client, next_hop] : relay.ways) {
      expect_received(*next_hop, client->to_send, false);
      expect_received(*client, next_hop->to_send, false);
    }
  });
}

TEST(Simulated, RelayPassesBothWaysOn) {
  net::test::for_each_seed(kSeeds, [](std::uint64_t seed) {
    World world(seed);
    const bool sign = world.random.one_in(2);
    const net::Address nowhere;
    WatchedRelay relay(world, nowhere, sign ? kSignature : "");
    world.live(relay);
    for (const auto& [client, next_hop] : relay.ways) {
      const bool both = next_hop->connected && is_patient(*client) && is_patient(*next_hop);
      const std::string& said = client->to_send;
      expect_received(*next_hop, sign ? signed_lines(said) : said, both);
      expect_received(*client, next_hop->to_send, both);
      expect_no_end_made_up(*client, *next_hop);
      expect_no_end_made_up(*next_hop, *client);
    }
    EXPECT_EQ(relay.ways.size() + world.house.counters().turned_away, world.clients.size());
  });
}

}  // namespace
}  // namespace server
