// What is the blocking engine's own: threads that sleep in system calls, and a handler that knows
// nothing of them. What all servers have to do, the end-to-end tests ask of it as of the others.
#include "net/blocking_engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "net/testing_engine.h"
#include "net/testing_peer.h"

namespace net::test {
namespace {

class BlockingEngineTest : public ::testing::Test {
 protected:
  Program<BlockingEngine>& program() { return program_; }

 private:
  Program<BlockingEngine> program_{0};
};

TEST_F(BlockingEngineTest, EchoesOnManyConnections) {
  program().echo();
  const Address address = program().listen();
  std::vector<Accepted> all = program().accept(50, address);
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_TRUE(all[i].peer.send(std::to_string(i)));
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_TRUE(program().until([&] { return program().on(all[i].id).sent == 1; }));
    EXPECT_EQ(all[i].peer.receive(std::to_string(i).size()), std::to_string(i));
  }
}

TEST_F(BlockingEngineTest, CallsTheHandlerFromOneThreadAtATime) {
  std::atomic<int> inside = 0;
  program().echo();
  program().when_received = [&](ConnId id, Bytes bytes) {
    EXPECT_EQ(inside.fetch_add(1), 0);
    bytes.empty() ? program().close(id) : program().send(id, bytes);
    inside.fetch_sub(1);
  };
  std::vector<Accepted> all = program().accept(20, program().listen());
  for (Accepted& each : all) {
    ASSERT_TRUE(each.peer.send(std::string(1000, 'x')));
    each.peer.finish_sending();
  }
  for (const Accepted& each : all) ASSERT_TRUE(program().until_closed(each.id));
}

TEST_F(BlockingEngineTest, KnowsWhatIsUnreadWhoeverHoldsIt) {
  Accepted a = program().accept(program().listen());
  ASSERT_TRUE(a.peer.send("0123456789"));
  ASSERT_TRUE(program().until([&] { return program().io().unread(a.id) == 10; }));
  program().recv(a.id);
  ASSERT_TRUE(program().until([&] { return program().on(a.id).pieces == 1; }));
  EXPECT_EQ(program().io().unread(a.id), 0U);
}

TEST_F(BlockingEngineTest, ClosesAConnectionWhoseThreadSleeps) {
  program().when_opened = [&](ConnId id) { program().recv(id); };
  Accepted a = program().accept(program().listen());
  program().poll_a_while();  // into recv(2)
  program().close(a.id);
  ASSERT_TRUE(program().until_closed(a.id));
  EXPECT_EQ(program().on(a.id).error, 0);
  EXPECT_EQ(a.peer.receive(1), "");
  EXPECT_TRUE(a.peer.at_end());
}

TEST_F(BlockingEngineTest, ClosesAConnectionThatIsStuckInSending) {
  const std::string much(32 << 20, 'x');
  Accepted a = program().accept(program().listen("127.0.0.1", 16 * 1024), 4096);
  program().send(a.id, much);
  program().poll_a_while();
  EXPECT_EQ(program().on(a.id).sent, 0);
  program().close(a.id);
  ASSERT_TRUE(program().until_closed(a.id));
}

TEST_F(BlockingEngineTest, TellsThatTheConnectionWasReset) {
  program().when_opened = [&](ConnId id) { program().recv(id); };
  Accepted a = program().accept(program().listen());
  a.peer.reset();
  ASSERT_TRUE(program().until_closed(a.id));
  EXPECT_EQ(program().on(a.id).error, ECONNRESET);
}

TEST_F(BlockingEngineTest, EndsWithoutAWordToTheHandler) {
  program().when_opened = [&](ConnId id) { program().recv(id); };
  std::vector<Accepted> all = program().accept(10, program().listen());
  program().poll_a_while();
  program().destroy_engine();
  for (Accepted& each : all) {
    EXPECT_FALSE(program().on(each.id).closed);
    EXPECT_EQ(each.peer.receive(1), "");
    EXPECT_TRUE(each.peer.at_end());
  }
}

}  // namespace
}  // namespace net::test
