// What net/engine.h promises about connections: how they begin, what their ids are worth, and what
// the loop does. One suite for every engine; engine_close_test.cc is about how they end,
// engine_data_test.cc about the bytes.
#include "net/engine.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/testing_engine.h"
#include "net/testing_environment.h"
#include "net/testing_peer.h"

namespace net::test {
namespace {

TYPED_TEST_SUITE(EngineTest, Engines, EngineName);

bool has_ipv6() {
  try {
    const PeerListener try_it(local("::1"));
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

// ---- beginning

TYPED_TEST(EngineTest, AcceptsOverIpv4) {
  auto& program = this->program();
  const Accepted a = program.accept(program.listen());
  EXPECT_GE(program.io().fd(a.id), 0);
  EXPECT_EQ(program.io().counters().accepted, 1U);
}

TYPED_TEST(EngineTest, AcceptsOverIpv6) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 loopback here";
  auto& program = this->program();
  program.echo();
  Accepted a = program.accept(program.listen("::1"));
  ASSERT_TRUE(a.peer.send("over IPv6"));
  ASSERT_TRUE(program.until([&] { return program.on(a.id).sent == 1; }));
  EXPECT_EQ(a.peer.receive(9), "over IPv6");
}

TYPED_TEST(EngineTest, AcceptsAllThatComeAtOnce) {
  auto& program = this->program();
  const Address address = program.listen();
  const std::vector<Peer> waiting = peers(300, address);
  ASSERT_TRUE(program.until([&] { return program.opened().size() == 300; }));
  EXPECT_EQ(program.io().counters().accepted, 300U);
  EXPECT_EQ(program.io().counters().accept_failures, 0U);
}

TYPED_TEST(EngineTest, SetsNoDelayOnWhatItAccepts) {
  auto& program = this->program();
  const Accepted a = program.accept(program.listen());
  int no_delay = 0;
  socklen_t size = sizeof no_delay;
  ASSERT_EQ(::getsockopt(program.io().fd(a.id), IPPROTO_TCP, 1, &no_delay, &size), 0);
  EXPECT_NE(no_delay, 0);
}

TYPED_TEST(EngineTest, ConnectsOverIpv4AndIpv6) {
  auto& program = this->program();
  for (const char* host : {"127.0.0.1", "::1"}) {
    if (host[0] == ':' && !has_ipv6()) continue;
    PeerListener listener(local(host));
    const ConnId id = program.connect(listener.address());
    ASSERT_TRUE(program.until([&] { return program.on(id).opened; })) << host;
    Peer peer;
    ASSERT_TRUE(listener.try_accept(peer)) << host;
    program.send(id, "hello");
    ASSERT_TRUE(program.until([&] { return program.on(id).sent == 1; })) << host;
    EXPECT_EQ(peer.receive(5), "hello") << host;
  }
}

TYPED_TEST(EngineTest, TellsThatAConnectionIsRefused) {
  auto& program = this->program();
  const Refusal refusal;
  const ConnId id = program.connect(refusal.address());
  ASSERT_TRUE(program.until_closed(id));
  EXPECT_EQ(program.on(id).error, ECONNREFUSED);
  EXPECT_FALSE(program.on(id).opened);
}

TYPED_TEST(EngineTest, RefusesAConnectionWithItself) {
  auto& program = this->program();
  int error = EADDRINUSE;
  for (int i = 0; i < 10 && error == EADDRINUSE; ++i) {  // somebody else may take the port first
    const Address own = PeerListener(local(), -1).address();
    const ConnId id = program.io().connect(own, {.source = &own});
    ASSERT_TRUE(program.until_closed(id));
    EXPECT_FALSE(program.on(id).opened);
    error = program.on(id).error;
  }
  EXPECT_EQ(error, ECONNREFUSED);
}

TYPED_TEST(EngineTest, TellsThatThereIsNoDescriptorToConnectWith) {
  auto& program = this->program();
  const Address address = local();
  ConnId id;
  {
    const FewDescriptors none(0);
    id = program.connect(address);
  }
  ASSERT_TRUE(program.until_closed(id));
  EXPECT_EQ(program.on(id).error, EMFILE);
}

TYPED_TEST(EngineTest, MissesNothingThatComesBeforeOnOpen) {
  auto& program = this->program();
  PeerListener listener(local());
  Peer peer;
  bool greeted = false;
  program.when_opened = [&](ConnId id) { program.recv(id); };
  program.when_received = [&](ConnId id, Bytes bytes) {
    if (!bytes.empty()) program.recv(id);
  };
  const ConnId id = program.connect(listener.address());
  const auto greet_at_once = [&] {
    if (greeted || !listener.try_accept(peer)) return;
    greeted = peer.send("220 welcome");
    peer.finish_sending();
  };
  ASSERT_TRUE(program.drive(greet_at_once, [&] { return greeted && program.on(id).opened; }));
  ASSERT_TRUE(program.until([&] { return program.on(id).ends == 1; }));
  EXPECT_EQ(program.on(id).received, "220 welcome");
}

TYPED_TEST(EngineTest, ManyConnectAtOnce) {
  auto& program = this->program();
  PeerListener listener(local(), 512);
  const Refusal refusal;
  std::vector<ConnId> good(200), bad(200);
  for (std::size_t i = 0; i < good.size(); ++i) {
    good[i] = program.connect(listener.address());
    bad[i] = program.connect(refusal.address());
  }
  const auto opened = [&](ConnId id) { return program.on(id).opened; };
  const auto refused = [&](ConnId id) { return program.on(id).error == ECONNREFUSED; };
  EXPECT_TRUE(program.until(
      [&] { return std::ranges::all_of(good, opened) && std::ranges::all_of(bad, refused); }));
}

// As a relay does: the engine is in the midst of its list of those that came when it grows.
TYPED_TEST(EngineTest, ConnectsTwiceForEachThatComes) {
  auto& program = this->program();
  PeerListener next_hop(local(), 1024);
  std::vector<ConnId> onwards;
  program.when_opened = [&](ConnId id) {
    if (std::ranges::find(onwards, id) != onwards.end()) return;
    onwards.push_back(program.connect(next_hop.address()));
    onwards.push_back(program.connect(next_hop.address()));
  };
  constexpr std::size_t kClients = 300;
  const Address address = program.listen();
  std::vector<Peer> clients;
  while (clients.size() < kClients) clients.emplace_back(address);
  EXPECT_TRUE(program.until([&] { return program.opened().size() == 3 * kClients; }))
      << program.opened().size() << " opened";
}

// ---- receiving, as far as it begins and ends

TYPED_TEST(EngineTest, ReceivesOnlyWhenAsked) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  ASSERT_TRUE(a.peer.send("early"));
  program.poll_a_while();
  EXPECT_EQ(program.on(a.id).pieces, 0);
  program.recv(a.id);
  ASSERT_TRUE(program.until([&] { return program.on(a.id).pieces == 1; }));
  ASSERT_TRUE(a.peer.send("more"));
  program.poll_a_while();
  EXPECT_EQ(program.on(a.id).pieces, 1);
  EXPECT_EQ(program.on(a.id).received, "early");
}

TYPED_TEST(EngineTest, TellsTheEndOncePerRecv) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  a.peer.finish_sending();
  program.recv(a.id);
  ASSERT_TRUE(program.until([&] { return program.on(a.id).ends == 1; }));
  program.poll_a_while();
  EXPECT_EQ(program.on(a.id).ends, 1);
  EXPECT_FALSE(program.on(a.id).closed);
}

TYPED_TEST(EngineTest, TellsTheEndAgainWhenAskedAgain) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  a.peer.finish_sending();
  for (int time = 1; time <= 3; ++time) {
    program.recv(a.id);
    ASSERT_TRUE(program.until([&] { return program.on(a.id).ends == time; })) << time;
  }
}

TYPED_TEST(EngineTest, TellsTheEndThatCameLongBeforeItWasAsked) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  ASSERT_TRUE(a.peer.send("last words"));
  a.peer.finish_sending();
  program.poll_a_while();
  program.recv(a.id);
  ASSERT_TRUE(program.until([&] { return program.on(a.id).pieces == 1; }));
  program.recv(a.id);
  ASSERT_TRUE(program.until([&] { return program.on(a.id).ends == 1; }));
  EXPECT_EQ(program.on(a.id).received, "last words");
}

TYPED_TEST(EngineTest, SendsOnAfterThePeersEnd) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  a.peer.finish_sending();
  program.recv(a.id);
  ASSERT_TRUE(program.until([&] { return program.on(a.id).ends == 1; }));
  const std::string owed = pattern(1, 4 << 20);
  program.send(a.id, owed);
  std::string got;
  EXPECT_TRUE(program.drive([&] { got += a.peer.try_receive(); },
                            [&] { return got.size() == owed.size(); }));
  EXPECT_EQ(got, owed);
  program.close(a.id);
  ASSERT_TRUE(program.until_closed(a.id));
  a.peer.receive_all();
  EXPECT_TRUE(a.peer.at_end());
}

TYPED_TEST(EngineTest, ReceivesOnAfterItsOwnShutdown) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  program.send(a.id, "that is all");
  ASSERT_TRUE(program.until([&] { return program.on(a.id).sent == 1; }));
  program.io().shutdown(a.id);
  program.recv(a.id);
  program.poll_a_while(1);
  EXPECT_EQ(a.peer.receive_all(), "that is all");
  EXPECT_TRUE(a.peer.at_end());
  ASSERT_TRUE(a.peer.send("not for me"));
  ASSERT_TRUE(program.until([&] { return program.on(a.id).pieces == 1; }));
  EXPECT_EQ(program.on(a.id).received, "not for me");
  EXPECT_FALSE(program.on(a.id).closed);
}

TYPED_TEST(EngineTest, ShutdownTwiceDoesNoHarm) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  program.io().shutdown(a.id);
  program.io().shutdown(a.id);
  program.poll_a_while();
  EXPECT_FALSE(program.on(a.id).closed);
}

// ---- ids

TYPED_TEST(EngineTest, IdsAreNeverEqualThoughSlotsAreUsedAgain) {
  auto& program = this->program();
  const Address address = program.listen();
  std::set<std::pair<std::uint32_t, std::uint32_t>> ids;
  std::set<std::uint32_t> slots;
  for (int i = 0; i < 300; ++i) {
    const Accepted a = program.accept(address);
    EXPECT_NE(a.id.generation, 0U);
    EXPECT_TRUE(ids.insert({a.id.slot, a.id.generation}).second);
    slots.insert(a.id.slot);
    program.close(a.id);
    ASSERT_TRUE(program.until_closed(a.id));
  }
  EXPECT_LE(slots.size(), 2U);
}

TYPED_TEST(EngineTest, VerbsOnAStaleIdDoNothingToTheSlotsNextConnection) {
  auto& program = this->program();
  const Address address = program.listen();
  const Accepted old = program.accept(address);
  program.close(old.id);
  ASSERT_TRUE(program.until_closed(old.id));
  Accepted next = program.accept(address);
  ASSERT_EQ(next.id.slot, old.id.slot);

  program.io().recv(old.id);
  program.io().send(old.id, bytes_of("not yours"));
  program.io().shutdown(old.id);
  program.io().close(old.id);
  ASSERT_TRUE(next.peer.send("not asked for"));
  program.poll_a_while();
  EXPECT_EQ(program.io().fd(old.id), -1);
  EXPECT_EQ(program.io().unread(old.id), 0U);

  program.send(next.id, "mine");
  ASSERT_TRUE(program.until([&] { return program.on(next.id).sent == 1; }));
  EXPECT_EQ(next.peer.receive(4), "mine");
  EXPECT_FALSE(program.on(next.id).closed);
}

TYPED_TEST(EngineTest, VerbsOnAnIdThatNeverWasDoNothing) {
  auto& program = this->program();
  const Accepted a = program.accept(program.listen());
  for (const ConnId id : {ConnId{}, ConnId{a.id.slot, 0}, ConnId{a.id.slot, a.id.generation + 1},
                          ConnId{1'000'000, 1}, ConnId{~0U, ~0U}}) {
    program.io().recv(id);
    program.io().send(id, bytes_of("?"));
    program.io().shutdown(id);
    program.io().close(id);
    EXPECT_EQ(program.io().fd(id), -1);
    EXPECT_EQ(program.io().unread(id), 0U);
  }
  program.poll_a_while();
  EXPECT_FALSE(program.on(a.id).closed);
}

// ---- accepting

TYPED_TEST(EngineTest, StopListeningRefusesTheLaterOnesOnly) {
  auto& program = this->program();
  program.echo();
  const Address address = program.listen();
  Accepted a = program.accept(address);
  program.io().stop_listening();
  EXPECT_TRUE(program.drive([] {}, [&] { return Peer(address).error() == ECONNREFUSED; }));
  ASSERT_TRUE(a.peer.send("still served?"));
  ASSERT_TRUE(program.until([&] { return program.on(a.id).sent == 1; }));
  EXPECT_EQ(a.peer.receive(13), "still served?");
}

TYPED_TEST(EngineTest, StopListeningInOnOpen) {
  auto& program = this->program();
  program.when_opened = [&](ConnId) { program.io().stop_listening(); };
  const Address address = program.listen();
  program.accept(address);
  EXPECT_TRUE(program.drive([] {}, [&] { return Peer(address).error() == ECONNREFUSED; }));
}

TYPED_TEST(EngineTest, WithoutDescriptorsAcceptingPausesAndGoesOn) {
  auto& program = this->program();
  const Address address = program.listen();
  const std::vector<Peer> waiting = peers(10, address);
  {
    const FewDescriptors few(3);
    ASSERT_TRUE(program.until([&] { return program.io().counters().accept_failures > 0; }));
    EXPECT_EQ(program.opened().size(), 3U);
    EXPECT_EQ(program.io().counters().last_accept_errno, EMFILE);
    program.poll_a_while(200);
    EXPECT_LT(program.io().counters().accept_failures, 100U) << "it does not pause";

    program.close(program.opened().front());
    EXPECT_TRUE(program.until([&] { return program.opened().size() == 4; }));
  }
  EXPECT_TRUE(program.until([&] { return program.opened().size() == 10; }));
  EXPECT_EQ(program.io().counters().accepted, 10U);
}

TYPED_TEST(EngineTest, StopsListeningWhileAcceptingPauses) {
  auto& program = this->program();
  const Address address = program.listen();
  const std::vector<Peer> waiting = peers(3, address);
  {
    const FewDescriptors few(1);
    ASSERT_TRUE(program.until([&] { return program.io().counters().accept_failures > 0; }));
    program.io().stop_listening();
  }
  EXPECT_TRUE(program.drive([] {}, [&] { return Peer(address).error() == ECONNREFUSED; }));
  EXPECT_EQ(program.opened().size(), 1U);
}

// ---- the loop

TYPED_TEST(EngineTest, PollWaitsForTheDeadline) {
  for (const Nanos spin : {Nanos{0}, 50 * kMicrosecond, kNever}) {
    this->make_program(spin);
    auto& program = this->program();
    program.listen();
    for (const Nanos wait : {Nanos{0}, 300 * kMicrosecond, 5 * kMillisecond}) {
      const Nanos deadline = now() + wait;
      program.io().poll(program, deadline);
      EXPECT_GE(now(), deadline) << "spin " << spin;
    }
    program.io().poll(program, 0);  // long ago
  }
}

TYPED_TEST(EngineTest, EveryWayOfSpinningWorks) {
  for (const Nanos spin : {Nanos{0}, 50 * kMicrosecond, kNever}) {
    this->make_program(spin);
    auto& program = this->program();
    program.echo();
    Accepted a = program.accept(program.listen());
    for (int i = 1; i <= 50; ++i) {
      ASSERT_TRUE(a.peer.send("ping"));
      ASSERT_TRUE(program.until([&] { return program.on(a.id).sent == i; })) << "spin " << spin;
      ASSERT_EQ(a.peer.receive(4), "ping");
    }
  }
}

TYPED_TEST(EngineTest, WakesForAWatchedDescriptorAgainAndAgain) {
  for (const Nanos spin : {Nanos{0}, 50 * kMicrosecond, kNever}) {
    this->make_program(spin);
    auto& program = this->program();
    const Fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    eventfd_t woken = 0;
    program.when_woken = [&] {
      eventfd_t more = 0;
      if (::eventfd_read(event.get(), &more) == 0) woken += more;
    };
    program.io().watch(event.get());
    for (eventfd_t i = 1; i <= 100; ++i) {
      ASSERT_EQ(::eventfd_write(event.get(), 1), 0);
      ASSERT_TRUE(program.until([&] { return woken == i; })) << "spin " << spin;
    }
    program.poll_a_while();
    EXPECT_EQ(woken, 100U);
  }
}

TYPED_TEST(EngineTest, WakesForWhatWasReadableBeforeItWasWatched) {
  auto& program = this->program();
  const Fd event(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  bool woken = false;
  program.when_woken = [&] { woken = true; };
  program.io().watch(event.get());
  EXPECT_TRUE(program.until([&] { return woken; }));
}

TYPED_TEST(EngineTest, WakesWhileTrafficGoesOn) {
  auto& program = this->program();
  const Fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  int woken = 0;
  program.when_woken = [&] {
    eventfd_t ignored = 0;
    ::eventfd_read(event.get(), &ignored);
    ++woken;
  };
  program.io().watch(event.get());
  program.echo();
  Accepted a = program.accept(program.listen());
  for (int i = 1; i <= 100; ++i) {
    ASSERT_TRUE(a.peer.send("ping"));
    ASSERT_EQ(::eventfd_write(event.get(), 1), 0);
    ASSERT_TRUE(program.until([&] { return woken == i && program.on(a.id).sent == i; }));
  }
}

TYPED_TEST(EngineTest, ClosesFromOnWake) {
  auto& program = this->program();
  const Accepted a = program.accept(program.listen());
  const Fd event(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  program.when_woken = [&] { program.close(a.id); };
  program.io().watch(event.get());
  EXPECT_TRUE(program.until_closed(a.id));
}

TYPED_TEST(EngineTest, CountsItsWaits) {
  auto& program = this->program();
  const auto before = program.io().counters().waits;
  program.poll_a_while(5);
  EXPECT_GE(program.io().counters().waits, before + 5);
  EXPECT_EQ(program.io().counters().starved, 0U);
  EXPECT_EQ(program.io().counters().overflows, 0U);
}

TYPED_TEST(EngineTest, DescribesItself) {
  EXPECT_EQ(this->program().io().description().rfind(EngineName::GetName<TypeParam>(0), 0), 0U);
}

// ---- the end of it all

TYPED_TEST(EngineTest, LeavesNoDescriptorBehind) {
  const auto next_fd = [] { return Fd(::eventfd(0, EFD_CLOEXEC)).get(); };
  const int before = next_fd();
  {
    Program<TypeParam> program(0);
    const Address address = program.listen();
    const std::vector<Peer> waiting = peers(20, address);
    ASSERT_TRUE(program.until([&] { return program.opened().size() == 20; }));
  }
  EXPECT_EQ(next_fd(), before);
}

TYPED_TEST(EngineTest, CanBeDestroyedWithEverythingInFlight) {
  auto& program = this->program();
  const std::string much = pattern(1, 8 << 20);
  const Fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  program.io().watch(event.get());
  PeerListener full(local(), 0);
  const Refusal refusal;
  const Address address = program.listen("127.0.0.1", 4096);
  std::vector<Accepted> all = program.accept(12, address, 4096);

  program.when_received = [&](ConnId id, Bytes bytes) { program.send(id, bytes); };
  program.recv(all[0].id);               // waiting to receive
  program.send(all[1].id, much);         // parked, the caller's bytes
  for (std::size_t i = 2; i < 6; ++i) {  // parked, received bytes
    program.when_sent = [&](ConnId id) { program.recv(id); };
    program.recv(all[i].id);
  }
  const auto flood = [&] {
    for (std::size_t i = 2; i < 6; ++i) all[i].peer.try_send(much);
  };
  EXPECT_TRUE(program.drive(flood, [&] { return program.io().counters().parked >= 5; }));
  program.when_received = [](ConnId, Bytes) {};
  program.recv(all[6].id);  // received before it was asked
  all[6].peer.send("one");
  EXPECT_TRUE(program.until([&] { return program.on(all[6].id).pieces == 1; }));
  all[6].peer.send("two");
  all[7].peer.reset();
  program.poll_a_while(2);
  for (int i = 0; i < 4; ++i) program.connect(full.address());  // connecting
  program.connect(refusal.address());
  program.poll_a_while(1);
  program.close(all[8].id);  // never polled again
  program.send(all[9].id, much);
  program.recv(all[9].id);

  program.destroy_engine();
  for (const std::size_t i : {0U, 1U, 2U, 8U, 9U, 10U}) {
    all[i].peer.receive_all();
    EXPECT_TRUE(all[i].peer.ended()) << i;
  }
}

}  // namespace
}  // namespace net::test
