// The names under which troubles are counted.
#include "loadgen/error_kind.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cerrno>

namespace loadgen {
namespace {

TEST(ErrorKind, HasWordsForTheUsualOnes) {
  EXPECT_EQ(error_kind(0), "closed_by_peer");
  EXPECT_EQ(error_kind(ECONNREFUSED), "connection_refused");
  EXPECT_EQ(error_kind(ECONNRESET), "connection_reset");
  EXPECT_EQ(error_kind(EPIPE), "connection_reset");
  EXPECT_EQ(error_kind(ECONNABORTED), "connection_aborted");
  EXPECT_EQ(error_kind(ETIMEDOUT), "timed_out");
  EXPECT_EQ(error_kind(EHOSTUNREACH), "host_unreachable");
  EXPECT_EQ(error_kind(ENETUNREACH), "network_unreachable");
  EXPECT_EQ(error_kind(EADDRNOTAVAIL), "address_not_available");
  EXPECT_EQ(error_kind(EMFILE), "too_many_files_open");
}

TEST(ErrorKind, OfTheOthersIsTheirNameWithoutTheE) {
  EXPECT_EQ(error_kind(ENOMEM), "nomem");
  EXPECT_EQ(error_kind(ENOBUFS), "nobufs");
}

TEST(ErrorKind, OfNoErrorAtAllIsUnknown) {
  EXPECT_EQ(error_kind(-1), "unknown_error");
  EXPECT_EQ(error_kind(99'999), "unknown_error");
}

TEST(ErrorKind, IsAlwaysAWordForAKey) {
  for (int error = -1; error < 200; ++error) {
    const std::string kind = error_kind(error);
    EXPECT_FALSE(kind.empty()) << error;
    for (const char c : kind) EXPECT_TRUE(std::islower(c) || std::isdigit(c) || c == '_') << kind;
  }
}

}  // namespace
}  // namespace loadgen
