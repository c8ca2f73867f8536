// How a backend is named, chosen and made.
#include "net/backend.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>

#include "net/testing_environment.h"

namespace net::test {
namespace {

TEST(Backend, IsNamedAsOnTheCommandLine) {
  EXPECT_EQ(name_of(Backend::kEpoll), "epoll");
  EXPECT_EQ(name_of(Backend::kUring), "io_uring");
  EXPECT_EQ(name_of(Backend::kPoll), "poll");
  EXPECT_EQ(name_of(Backend::kBlocking), "blocking");
}

TEST(Backend, IsFoundByItsName) {
  for (const Backend backend :
       {Backend::kEpoll, Backend::kUring, Backend::kPoll, Backend::kBlocking}) {
    EXPECT_EQ(backend_named(name_of(backend)), backend);
  }
}

TEST(Backend, IsNotFoundByAnyOther) {
  for (const char* name : {"", "Epoll", "uring", "io-uring", "epoll ", "auto,epoll", "kqueue"}) {
    EXPECT_EQ(backend_named(name), std::nullopt) << name;
  }
}

TEST(WithEngine, MakesWhatIsAskedForAndReturnsTheResult) {
  const auto describe = [](ServerEngine auto& io) { return io.description(); };
  EXPECT_EQ(with_engine(Backend::kEpoll, 0, describe), "epoll");
  EXPECT_EQ(with_engine(Backend::kPoll, 0, describe), "poll");
  EXPECT_EQ(with_engine(Backend::kBlocking, 0, describe), "blocking: a thread per connection");
}

TEST(WithEngine, GivesNothingLessThanWhatIsAskedFor) {
  const auto needs_all = [](Engine auto&) {};
  EXPECT_NO_THROW(with_engine(Backend::kPoll, 0, needs_all));
  EXPECT_THROW(with_engine(Backend::kBlocking, 0, needs_all), BackendUnavailable);
}

TEST(WithEngine, MakesIoUringOrSaysWhyNot) {
  try {
    const std::string text =
        with_engine(Backend::kUring, 0, [](ServerEngine auto& io) { return io.description(); });
    EXPECT_EQ(text.rfind("io_uring: ", 0), 0U) << text;
  } catch (const BackendUnavailable& unavailable) {
    EXPECT_NE(std::string(unavailable.what()).find("io_uring"), std::string::npos);
  }
}

TEST(BestBackend, IsTheOneThatWorks) {
  std::string why_not;
  const Backend best = best_backend(why_not);
  EXPECT_EQ(best == Backend::kUring, why_not.empty()) << why_not;
  EXPECT_NO_THROW(with_engine(best, 0, [](auto&) {}));
}

[[noreturn]] void print_best_backend_of_an_old_kernel() {
  const EnvironmentVariable old("ECHOBENCH_URING_WITHOUT", "buffer_rings");
  std::string why_not;
  const Backend best = best_backend(why_not);
  std::cerr << name_of(best) << ", for " << why_not;
  std::_Exit(0);
}

TEST(BestBackendDeathTest, IsEpollWhereIoUringIsTooOldAndSaysSo) {
  // In a process of its own: what io_uring can do is asked once in a process's life.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(print_best_backend_of_an_old_kernel(), ::testing::ExitedWithCode(0),
              "epoll, for io_uring");
}

TEST(LiburingVersion, IsKnownWhereItWasBuiltIn) {
#ifdef ECHOBENCH_URING
  EXPECT_NE(liburing_version(), "");
#else
  EXPECT_EQ(liburing_version(), "");
#endif
}

}  // namespace
}  // namespace net::test
