// Signals come through the descriptor, one by one, and kill nobody.
#include "net/signals.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <thread>

#include "net/testing_peer.h"

namespace net::test {
namespace {

void send_self(int signal) { ::kill(::getpid(), signal); }

TEST(Signals, ThereIsNoneAtFirst) {
  Signals signals({SIGUSR1});
  EXPECT_EQ(signals.next(), 0);
  EXPECT_FALSE(ready_for(signals.fd(), POLLIN, 0));
}

TEST(Signals, ComeThroughTheDescriptor) {
  Signals signals({SIGUSR1, SIGTERM, SIGINT});
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT, SIGUSR1}) {
    send_self(signal);
    EXPECT_TRUE(ready_for(signals.fd(), POLLIN));
    EXPECT_EQ(signals.next(), signal);
    EXPECT_EQ(signals.next(), 0);
  }
}

TEST(Signals, WaitForTheirTurn) {
  Signals signals({SIGUSR1, SIGUSR2});
  send_self(SIGUSR1);
  send_self(SIGUSR2);
  const int first = signals.next();
  const int second = signals.next();
  EXPECT_EQ(first + second, SIGUSR1 + SIGUSR2);
  EXPECT_EQ(signals.next(), 0);
}

TEST(Signals, AreBlockedInThreadsThatStartLater) {
  const Signals signals({SIGWINCH});
  sigset_t blocked{};
  std::thread([&] { pthread_sigmask(SIG_BLOCK, nullptr, &blocked); }).join();
  EXPECT_EQ(sigismember(&blocked, SIGWINCH), 1);
}

TEST(Signals, LeavesAloneWhatIsIgnored) {
  void (*const before)(int) = std::signal(SIGHUP, SIG_IGN);
  {
    Signals signals({SIGHUP, SIGUSR1});
    send_self(SIGHUP);
    send_self(SIGUSR1);
    EXPECT_EQ(signals.next(), SIGUSR1);
    EXPECT_EQ(signals.next(), 0);
  }
  std::signal(SIGHUP, before);
}

TEST(Signals, AfterwardsTheyAreAsBeforeAndNoneIsLeft) {
  {
    const Signals signals({SIGUSR1});
    send_self(SIGUSR1);  // nobody fetches it
  }
  sigset_t blocked{};
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  EXPECT_EQ(sigismember(&blocked, SIGUSR1), 0);
}

TEST(Signals, WritingToNobodyIsAnErrorAndNoDeath) {
  const Signals signals({SIGUSR1});
  std::array<int, 2> pair{};
  ASSERT_EQ(::pipe(pair.data()), 0);
  const Fd write_end(pair[1]);
  ::close(pair[0]);
  EXPECT_EQ(::write(write_end.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

}  // namespace
}  // namespace net::test
