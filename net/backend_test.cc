// How a backend is named, chosen and made.
#include "net/backend.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>

#include "net/testing_environment.h"

namespace net::test {
namespace {

TEST(Backend, IsNamedAsOnTheCommandLine) {
  EXPECT_EQ(name_of(Backend::kEpoll), "epoll");
  EXPECT_EQ(name_of(Backend::kUring), "io_uring");
}

TEST(ParseBackend, ReadsTheNames) {
  EXPECT_EQ(parse_backend("epoll"), Backend::kEpoll);
  EXPECT_EQ(parse_backend("io_uring"), Backend::kUring);
  EXPECT_EQ(parse_backend("auto"), std::nullopt);
}

TEST(ParseBackend, RefusesAllElseAndSaysWhatIsAllowed) {
  for (const char* name : {"", "Epoll", "uring", "io-uring", "epoll ", "auto,epoll", "kqueue"}) {
    try {
      parse_backend(name);
      ADD_FAILURE() << "'" << name << "' was read";
    } catch (const std::invalid_argument& refusal) {
      EXPECT_STREQ(refusal.what(), "epoll, io_uring or auto");
    }
  }
}

TEST(WithEngine, MakesEpollAndReturnsTheResult) {
  const std::string text =
      with_engine(Backend::kEpoll, 0, [](auto& io) { return io.description(); });
  EXPECT_EQ(text, "epoll");
}

TEST(WithEngine, MakesIoUringOrSaysWhyNot) {
  try {
    const std::string text =
        with_engine(Backend::kUring, 0, [](auto& io) { return io.description(); });
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
