// How connections end, whoever ends them and in the middle of what: net/engine.h promises one
// on_close, last, with errno 0 after io.close(). One suite for every engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "net/engine.h"
#include "net/testing_engine.h"
#include "net/testing_peer.h"

namespace net::test {
namespace {

TYPED_TEST_SUITE(EngineTest, Engines, EngineName);

// ---- ending

TYPED_TEST(EngineTest, CloseEndsWithoutAnError) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  program.close(a.id);
  EXPECT_FALSE(program.on(a.id).closed) << "a verb called the handler";
  ASSERT_TRUE(program.until_closed(a.id));
  EXPECT_EQ(program.on(a.id).error, 0);
  a.peer.receive_all();
  EXPECT_TRUE(a.peer.at_end());
}

TYPED_TEST(EngineTest, CloseWithAReceiveOutstandingEndsOnce) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  program.recv(a.id);
  program.poll_a_while(2);
  program.close(a.id);
  ASSERT_TRUE(program.until_closed(a.id));
  program.poll_a_while();
  EXPECT_EQ(program.on(a.id).error, 0);
}

TYPED_TEST(EngineTest, CloseIsNotUndoneByASecondOne) {
  auto& program = this->program();
  const Accepted a = program.accept(program.listen());
  program.recv(a.id);
  program.close(a.id);
  program.close(a.id);
  program.io().shutdown(a.id);
  program.recv(a.id);
  program.send(a.id, "too late");
  ASSERT_TRUE(program.until_closed(a.id));
  EXPECT_EQ(program.on(a.id).error, 0);
}

TYPED_TEST(EngineTest, ClosesInOnOpen) {
  auto& program = this->program();
  program.when_opened = [&](ConnId id) { program.close(id); };
  Accepted a = program.accept(program.listen());
  EXPECT_TRUE(program.until_closed(a.id));
  a.peer.receive_all();
  EXPECT_TRUE(a.peer.at_end());
}

TYPED_TEST(EngineTest, ClosesInOnOpenOfAnOutgoingConnection) {
  auto& program = this->program();
  PeerListener listener(local());
  program.when_opened = [&](ConnId id) { program.close(id); };
  const ConnId id = program.connect(listener.address());
  ASSERT_TRUE(program.until_closed(id));
  EXPECT_TRUE(program.on(id).opened);
  EXPECT_EQ(program.on(id).error, 0);
}

TYPED_TEST(EngineTest, ClosesInOnRecv) {
  auto& program = this->program();
  program.when_opened = [&](ConnId id) { program.recv(id); };
  program.when_received = [&](ConnId id, Bytes) { program.close(id); };
  Accepted a = program.accept(program.listen());
  ASSERT_TRUE(a.peer.send(pattern(1, 10'000)));  // more may stand behind what closes it
  EXPECT_TRUE(program.until_closed(a.id));
  EXPECT_EQ(program.on(a.id).error, 0);
  EXPECT_EQ(program.on(a.id).pieces, 1);
}

TYPED_TEST(EngineTest, ClosesInOnRecvWithTheBytesSentOn) {
  auto& program = this->program();
  program.when_opened = [&](ConnId id) { program.recv(id); };
  program.when_received = [&](ConnId id, Bytes bytes) {
    program.send(id, bytes);
    program.recv(id);
    program.close(id);
  };
  const Address address = program.listen();
  for (int i = 0; i < 50; ++i) {
    Accepted a = program.accept(address);
    ASSERT_TRUE(a.peer.send("echo?"));
    ASSERT_TRUE(program.until_closed(a.id));
    EXPECT_EQ(program.on(a.id).error, 0);
    EXPECT_EQ(program.on(a.id).sent, 0);
  }
}

TYPED_TEST(EngineTest, ClosesInOnSent) {
  auto& program = this->program();
  program.when_opened = [&](ConnId id) {
    program.recv(id);
    program.send(id, "goodbye");
  };
  program.when_sent = [&](ConnId id) { program.close(id); };
  Accepted a = program.accept(program.listen());
  EXPECT_TRUE(program.until_closed(a.id));
  EXPECT_EQ(a.peer.receive_all(), "goodbye");
  EXPECT_TRUE(a.peer.at_end());
}

TYPED_TEST(EngineTest, ClosesAnotherConnectionThatHasEventsInTheSameBatch) {
  auto& program = this->program();
  const Address address = program.listen();
  std::vector<Accepted> all = program.accept(20, address);
  int received = 0;
  program.when_received = [&](ConnId id, Bytes) {
    ++received;
    for (const Accepted& other : all) {
      if (other.id != id) program.close(other.id);
    }
  };
  for (Accepted& a : all) {
    program.recv(a.id);
    ASSERT_TRUE(a.peer.send("me first"));
  }
  const auto ended = [&](const Accepted& a) { return program.on(a.id).closed; };
  ASSERT_TRUE(program.until([&] { return std::ranges::count_if(all, ended) == 19; }));
  program.poll_a_while();
  EXPECT_EQ(received, 1);
}

TYPED_TEST(EngineTest, VerbsInOnCloseDoNothing) {
  auto& program = this->program();
  program.when_closed = [&](ConnId id) {
    program.io().recv(id);
    program.io().send(id, bytes_of("beyond the end"));
    program.io().shutdown(id);
    program.io().close(id);
  };
  Accepted a = program.accept(program.listen());
  program.close(a.id);
  ASSERT_TRUE(program.until_closed(a.id));
  program.poll_a_while();
  EXPECT_EQ(a.peer.receive_all(), "");
}

TYPED_TEST(EngineTest, ConnectsAgainInOnClose) {
  auto& program = this->program();
  const Refusal refusal;
  std::vector<ConnId> tries;
  program.when_closed = [&](ConnId) {
    if (tries.size() < 300) tries.push_back(program.connect(refusal.address()));
  };
  tries.push_back(program.connect(refusal.address()));
  EXPECT_TRUE(program.until([&] { return tries.size() == 300 && program.on(tries[299]).closed; }));
}

TYPED_TEST(EngineTest, ClosesAConnectionBeforeTheFirstPoll) {
  auto& program = this->program();
  PeerListener listener(local());
  const ConnId id = program.connect(listener.address());
  program.close(id);
  ASSERT_TRUE(program.until_closed(id));
  program.poll_a_while();
  EXPECT_EQ(program.on(id).error, 0);
  EXPECT_FALSE(program.on(id).opened);
}

TYPED_TEST(EngineTest, ClosesAConnectionThatIsStillConnecting) {
  auto& program = this->program();
  PeerListener full(local(), 0);
  // A backlog of 0 holds one connection; what comes then is not answered (tcp_abort_on_overflow).
  std::vector<ConnId> ids(4);
  for (ConnId& id : ids) id = program.connect(full.address());
  program.poll_a_while();
  std::erase_if(ids, [&](ConnId id) { return program.on(id).opened; });
  ASSERT_FALSE(ids.empty()) << "all of them connected";
  for (const ConnId id : ids) program.close(id);
  for (const ConnId id : ids) {
    ASSERT_TRUE(program.until_closed(id));
    EXPECT_EQ(program.on(id).error, 0);
    EXPECT_FALSE(program.on(id).opened);
  }
}

// ---- ended by the peer

TYPED_TEST(EngineTest, AResetEndsAReceive) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  program.recv(a.id);
  program.poll_a_while(2);
  a.peer.reset();
  ASSERT_TRUE(program.until_closed(a.id));
  EXPECT_EQ(program.on(a.id).error, ECONNRESET);
}

TYPED_TEST(EngineTest, AResetBeforeTheReceiveEndsIt) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  a.peer.reset();
  program.poll_a_while();
  program.recv(a.id);
  ASSERT_TRUE(program.until_closed(a.id));
  EXPECT_EQ(program.on(a.id).error, ECONNRESET);
}

TYPED_TEST(EngineTest, AResetBetweenReceivesEndsTheNext) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  program.recv(a.id);
  ASSERT_TRUE(a.peer.send("one"));
  ASSERT_TRUE(program.until([&] { return program.on(a.id).pieces == 1; }));
  a.peer.reset();
  program.poll_a_while();
  program.recv(a.id);  // does nothing where the engine has noticed already
  ASSERT_TRUE(program.until_closed(a.id));
  EXPECT_EQ(program.on(a.id).error, ECONNRESET);
}

TYPED_TEST(EngineTest, AResetEndsASend) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  a.peer.reset();
  program.poll_a_while();
  program.send(a.id, "anybody there?");
  ASSERT_TRUE(program.until_closed(a.id));
  EXPECT_TRUE(program.on(a.id).error == ECONNRESET || program.on(a.id).error == EPIPE);
  EXPECT_EQ(program.on(a.id).sent, 0);
}

TYPED_TEST(EngineTest, AResetEndsAParkedSend) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen("127.0.0.1", 4096), 4096);
  const std::string much = pattern(1, 8 << 20);
  program.send(a.id, much);
  ASSERT_TRUE(program.until([&] { return program.io().counters().parked == 1; }));
  program.poll_a_while();
  a.peer.reset();
  ASSERT_TRUE(program.until_closed(a.id));
  EXPECT_TRUE(program.on(a.id).error == ECONNRESET || program.on(a.id).error == EPIPE);
  EXPECT_EQ(program.on(a.id).sent, 0);
}

TYPED_TEST(EngineTest, AResetAfterTheEndIsNoticed) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  a.peer.finish_sending();
  program.recv(a.id);
  ASSERT_TRUE(program.until([&] { return program.on(a.id).ends == 1; }));
  a.peer.reset();
  program.poll_a_while();
  program.send(a.id, "anybody there?");
  ASSERT_TRUE(program.until_closed(a.id));
  EXPECT_NE(program.on(a.id).error, 0);
}

TYPED_TEST(EngineTest, AResetOfOneIsNothingToTheOthers) {
  auto& program = this->program();
  program.echo();
  const Address address = program.listen();
  Accepted stays = program.accept(address);
  for (int i = 0; i < 100; ++i) {
    Accepted goes = program.accept(address);
    ASSERT_TRUE(goes.peer.send("x"));
    ASSERT_TRUE(stays.peer.send("still here"));
    goes.peer.reset();
    ASSERT_TRUE(program.until([&] { return program.on(stays.id).sent == i + 1; }));
    ASSERT_TRUE(program.until_closed(goes.id));
    ASSERT_EQ(stays.peer.receive(10), "still here");
  }
}

}  // namespace
}  // namespace net::test
