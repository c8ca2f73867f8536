// What only io_uring can get wrong: each rung of the ladder that older kernels stand on, queues so
// small that they overflow and starve, sends that post nothing when they go, and completions that
// come after their connection was closed. The rungs and the queues are chosen through the
// environment (net/uring_features.h).
#include <gtest/gtest.h>

#ifdef ECHOBENCH_URING

#include <sys/eventfd.h>

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/testing_engine.h"
#include "net/testing_environment.h"
#include "net/testing_traffic.h"
#include "net/uring_engine.h"

namespace net::test {
namespace {

constexpr int kTiny = 4096;

/// A program on an engine that was made in this environment, skipped where there is no io_uring.
class UringTest : public ::testing::Test {
 protected:
  void make_program(const std::map<std::string, std::string>& environment) {
    for (const auto& [name, value] : environment) set_.emplace_back(name, value);
    try {
      program_ = std::make_unique<Program<UringEngine>>(0);
    } catch (const BackendUnavailable& unavailable) {
      GTEST_SKIP() << unavailable.what();
    }
  }
  Program<UringEngine>& program() { return *program_; }
  bool has(const std::string& feature) {
    const std::vector<std::string> names = program().io().features().names();
    return std::ranges::find(names, feature) != names.end();
  }

 private:
  std::list<EnvironmentVariable> set_;
  std::unique_ptr<Program<UringEngine>> program_;
};

// ---- the ladder

struct Rung {
  std::string name;
  std::map<std::string, std::string> environment;
};

void PrintTo(const Rung& rung, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  *out << rung.name;
}

std::vector<Rung> rungs() {
  std::vector<Rung> all = {{"everything", {}}};
  const std::vector<std::string> kernels = {
      "silent_send",
      "multishot_recv",
      "multishot_accept",
      "submit_all",
      "defer_taskrun",
      "single_issuer",
      "defer_taskrun,coop_taskrun",
      "multishot_recv,silent_send",
      "single_issuer,defer_taskrun,coop_taskrun,submit_all,multishot_accept,multishot_recv,"
      "silent_send"};
  const std::map<std::string, std::string> tiny = {{"ECHOBENCH_URING_CQ", "8"},
                                                   {"ECHOBENCH_URING_BUFFERS", "4"}};
  all.push_back({"tiny_queues", tiny});
  for (const std::string& without : kernels) {
    std::string name = "without_" + (without.size() > 40 ? "anything" : without);
    std::ranges::replace(name, ',', '_');
    Rung rung{name, {{"ECHOBENCH_URING_WITHOUT", without}}};
    all.push_back(rung);
    rung.environment.insert(tiny.begin(), tiny.end());
    all.push_back({name + "_tiny_queues", rung.environment});
  }
  return all;
}

class UringRung : public UringTest, public ::testing::WithParamInterface<Rung> {
 protected:
  void SetUp() override { make_program(GetParam().environment); }
};

INSTANTIATE_TEST_SUITE_P(Ladder, UringRung, ::testing::ValuesIn(rungs()),
                         [](const auto& rung) { return rung.param.name; });

TEST_P(UringRung, HasNotWhatWasTakenAway) {
  const auto without = GetParam().environment.find("ECHOBENCH_URING_WITHOUT");
  if (without == GetParam().environment.end()) return;
  std::string list = without->second + ",";
  for (std::size_t comma = 0; (comma = list.find(',')) != std::string::npos;) {
    EXPECT_FALSE(has(list.substr(0, comma)));
    list.erase(0, comma + 1);
  }
}

TEST_P(UringRung, Echoes) {
  program().echo();
  Accepted a = program().accept(program().listen());
  PatternPeer peer(std::move(a.peer), 1);
  for (const std::size_t size :
       std::vector<std::size_t>{1, 64, 2048, 2049, 65'536, 1'000'000, 64, 1}) {
    const std::size_t upto = peer.sent() + size;
    const auto talk = [&] {
      if (peer.sent() < upto) peer.try_send(upto - peer.sent());
      peer.try_receive();
    };
    ASSERT_TRUE(program().drive(talk, [&] { return peer.received() == upto; })) << size;
    ASSERT_TRUE(peer.intact()) << size;
  }
  peer.peer().finish_sending();
  ASSERT_TRUE(program().until_closed(a.id));
  EXPECT_EQ(program().on(a.id).error, 0);
}

TEST_P(UringRung, ConnectsAndWakes) {
  PeerListener listener(local());
  const Fd event(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  int woken = 0;
  program().when_woken = [&] {
    eventfd_t ignored = 0;
    ::eventfd_read(event.get(), &ignored);
    ++woken;
  };
  program().io().watch(event.get());
  for (int i = 1; i <= 10; ++i) {
    const ConnId id = program().connect(listener.address());
    ASSERT_TRUE(program().until([&] { return program().on(id).opened && woken >= i; }));
    program().close(id);
    ASSERT_TRUE(program().until_closed(id));
    ::eventfd_write(event.get(), 1);
  }
}

TEST_P(UringRung, AcceptsManyAtOnce) {
  const Address address = program().listen();
  const std::vector<Peer> waiting = peers(100, address);
  EXPECT_TRUE(program().until([&] { return program().opened().size() == 100; }));
}

TEST_P(UringRung, AnswersAnIdleOneBesideManyThatSendAndDoNotRead) {
  program().echo();
  const Address address = program().listen("127.0.0.1", kTiny);
  Accepted idle = program().accept(address);
  // More than there are large buffers.
  auto greedy = program().accept_patterns(70, address, kTiny);
  const auto flood = [&] {
    for (PatternPeer& peer : greedy) peer.try_send(60'000);
  };
  ASSERT_TRUE(program().drive(flood, [&] { return program().io().counters().parked >= 70; }));
  for (int i = 1; i <= 20; ++i) {
    ASSERT_TRUE(idle.peer.send("are you there?"));
    ASSERT_TRUE(program().drive(flood, [&] { return program().on(idle.id).sent == i; }));
    ASSERT_EQ(idle.peer.receive(14), "are you there?");
  }
}

TEST_P(UringRung, SurvivesRandomTraffic) {
  RandomTraffic traffic(program(), 4, 50);
  traffic.run(600);
  traffic.finish();
}

TEST_F(UringTest, IsUnavailableWithoutProvidedBufferRings) {
  make_program({});
  if (IsSkipped()) return;
  const EnvironmentVariable without("ECHOBENCH_URING_WITHOUT", "buffer_rings");
  EXPECT_THROW(UringEngine(0), BackendUnavailable);
}

// ---- queues that are too small

TEST_F(UringTest, StarvedConnectionsGetTheirTurn) {
  make_program({{"ECHOBENCH_URING_BUFFERS", "4"}});
  if (IsSkipped()) return;
  program().echo();
  const Address address = program().listen();
  std::vector<Accepted> all = program().accept(64, address);
  for (int round = 1; round <= 20; ++round) {
    for (Accepted& a : all) ASSERT_TRUE(a.peer.send("all at once"));
    const auto answered = [&](const Accepted& a) { return program().on(a.id).sent == round; };
    ASSERT_TRUE(program().until([&] { return std::ranges::all_of(all, answered); }));
    for (Accepted& a : all) ASSERT_EQ(a.peer.receive(11), "all at once");
  }
  EXPECT_GT(program().io().counters().starved, 0U);
}

TEST_F(UringTest, StarvedLargeReceivesGetTheirTurn) {
  make_program({{"ECHOBENCH_URING_BUFFERS", "2"}});
  if (IsSkipped()) return;
  program().echo();
  const Address address = program().listen();
  auto peers = program().accept_patterns(32, address);
  const auto talk = [&] {
    for (PatternPeer& peer : peers) {
      if (peer.sent() < 100'000) peer.try_send(100'000 - peer.sent());
      peer.try_receive();
    }
  };
  const auto done = [](const PatternPeer& peer) { return peer.received() == 100'000; };
  ASSERT_TRUE(program().drive(talk, [&] { return std::ranges::all_of(peers, done); }));
  EXPECT_TRUE(std::ranges::all_of(peers, &PatternPeer::intact));
  EXPECT_GT(program().io().counters().starved, 0U);
}

TEST_F(UringTest, AStarvedConnectionCanBeClosed) {
  make_program({{"ECHOBENCH_URING_BUFFERS", "1"}});
  if (IsSkipped()) return;
  program().when_opened = [&](ConnId id) { program().recv(id); };
  program().when_received = [&](ConnId id, Bytes) { program().close(id); };
  const Address address = program().listen();
  for (int round = 1; round <= 20; ++round) {
    std::vector<Accepted> all = program().accept(16, address);
    for (Accepted& a : all) ASSERT_TRUE(a.peer.send("x"));
    program().io().poll(program(), now());
    for (const Accepted& a : all) program().close(a.id);
    for (const Accepted& a : all) ASSERT_TRUE(program().until_closed(a.id));
  }
  EXPECT_GT(program().io().counters().starved, 0U);
}

TEST_F(UringTest, AnOverflownQueueLosesNothing) {
  make_program({{"ECHOBENCH_URING_CQ", "8"}});
  if (IsSkipped()) return;
  program().echo();
  const Address address = program().listen();
  std::vector<Accepted> all = program().accept(64, address);
  for (int round = 1; round <= 20; ++round) {
    for (Accepted& a : all) ASSERT_TRUE(a.peer.send("all at once"));
    const auto answered = [&](const Accepted& a) { return program().on(a.id).sent == round; };
    ASSERT_TRUE(program().until([&] { return std::ranges::all_of(all, answered); }));
    for (Accepted& a : all) ASSERT_EQ(a.peer.receive(11), "all at once");
  }
  EXPECT_GT(program().io().counters().overflows, 0U);
}

// ---- silent sends

/// Sends to many at once what none of them can take.
void send_to_slow_readers(Program<UringEngine>& program, std::size_t readers) {
  const Address address = program.listen("127.0.0.1", kTiny);
  std::vector<Accepted> all = program.accept(readers, address, kTiny);
  std::vector<std::string> texts(readers);
  for (std::size_t i = 0; i < readers; ++i) texts[i] = pattern(i, 100'000);
  for (std::size_t i = 0; i < readers; ++i) program.send(all[i].id, texts[i]);
  const auto is_sent = [&](const Accepted& a) { return program.on(a.id).sent == 1; };
  ASSERT_TRUE(program.until([&] { return program.io().counters().parked == readers; }));
  program.poll_a_while();
  EXPECT_EQ(std::ranges::count_if(all, is_sent), 0) << "said to be sent before it was";

  std::vector<std::string> got(readers);
  const auto read = [&] {
    for (std::size_t i = 0; i < readers; ++i) got[i] += all[i].peer.try_receive();
  };
  ASSERT_TRUE(program.drive(read, [&] {
    return std::ranges::all_of(got, [](const auto& text) { return text.size() == 100'000; });
  }));
  EXPECT_TRUE(got == texts);
  EXPECT_TRUE(program.until([&] { return std::ranges::all_of(all, is_sent); }));
}

TEST_F(UringTest, PartialSilentSendsLoseNothing) {
  make_program({});
  if (IsSkipped()) return;
  if (!has("silent_send")) GTEST_SKIP() << "no silent sends in this kernel";
  send_to_slow_readers(program(), 64);
}

TEST_F(UringTest, PartialSilentSendsThatOverflowTheQueueLoseNothing) {
  make_program({{"ECHOBENCH_URING_CQ", "8"}});
  if (IsSkipped()) return;
  if (!has("silent_send")) GTEST_SKIP() << "no silent sends in this kernel";
  send_to_slow_readers(program(), 64);
  EXPECT_GT(program().io().counters().overflows, 0U);
}

TEST_F(UringTest, SilentSendsToDeadPeersAreNoticedThoughTheQueueOverflows) {
  make_program({{"ECHOBENCH_URING_CQ", "8"}});
  if (IsSkipped()) return;
  const Address address = program().listen();
  std::vector<Accepted> all = program().accept(64, address);
  for (Accepted& a : all) a.peer.reset();
  for (const Accepted& a : all) program().send(a.id, "anybody there?");
  for (const Accepted& a : all) {
    ASSERT_TRUE(program().until_closed(a.id));
    EXPECT_NE(program().on(a.id).error, 0);
    EXPECT_EQ(program().on(a.id).sent, 0);
  }
}

TEST_F(UringTest, ASilentSendNeedsNoSystemCallOfItsOwn) {
  make_program({});
  if (IsSkipped()) return;
  if (!has("silent_send")) GTEST_SKIP() << "no silent sends in this kernel";
  program().echo();
  Accepted a = program().accept(program().listen());
  ASSERT_TRUE(a.peer.send("warm"));
  ASSERT_TRUE(program().until([&] { return program().on(a.id).sent == 1; }));
  program().poll_a_while(3);
  const std::uint64_t before = program().io().counters().waits;
  for (int i = 2; i <= 101; ++i) {
    ASSERT_TRUE(a.peer.send("ping"));
    ASSERT_TRUE(program().until([&] { return program().on(a.id).sent == i; }));
  }
  EXPECT_LE(program().io().counters().waits, before + 2 * 100 + 5);
}

// ---- late completions

TEST_F(UringTest, ASlotIsKeptUntilItsLastCompletion) {
  make_program({});
  if (IsSkipped()) return;
  PeerListener listener(local());
  Accepted old = program().accept(program().listen());
  program().recv(old.id);
  program().poll_a_while(2);
  program().close(old.id);
  const ConnId next = program().connect(listener.address());
  EXPECT_NE(next.slot, old.id.slot);
  ASSERT_TRUE(program().until_closed(old.id));
}

TEST_F(UringTest, LateCompletionsDoNotReachTheSlotsNextConnection) {
  make_program({});
  if (IsSkipped()) return;
  const Address address = program().listen("127.0.0.1", kTiny);
  const std::string theirs = pattern(1, 50'000);
  std::size_t slots_used_again = 0;
  std::uint32_t last_slot = ~0U;
  for (int round = 0; round < 200; ++round) {
    Accepted old = program().accept(address, kTiny);
    slots_used_again += old.id.slot == last_slot ? 1 : 0;
    last_slot = old.id.slot;
    ASSERT_EQ(program().on(old.id).received, "");
    program().recv(old.id);
    program().send(old.id, theirs);
    old.peer.try_send(theirs);
    if (round % 2 == 0) program().io().poll(program(), now());
    program().recv(old.id);
    old.peer.try_send(theirs);
    program().close(old.id);

    Accepted next = program().accept(address);
    program().recv(next.id);
    ASSERT_TRUE(next.peer.send("mine"));
    ASSERT_TRUE(program().until([&] { return program().on(next.id).pieces == 1; }));
    ASSERT_EQ(program().on(next.id).received, "mine");
    ASSERT_EQ(program().on(next.id).sent, 0);
    program().close(next.id);
    ASSERT_TRUE(program().until_closed(next.id));
    ASSERT_TRUE(program().until_closed(old.id));
  }
  EXPECT_GT(slots_used_again, 0U);
}

}  // namespace
}  // namespace net::test

#else

TEST(UringTest, IsNotInThisBuild) { GTEST_SKIP() << "built without liburing"; }

#endif
