// Whom the variables of a socket that is handed over mean. (What is done with the socket:
// net/socket_test.cc; all of it: tests/test_service.py.)
#include "server/socket_activation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "net/testing_environment.h"

namespace server {
namespace {

using net::test::EnvironmentVariable;

TEST(SocketActivation, IsForTheProcessThatIsNamed) {
  EXPECT_FALSE(is_socket_handed_over());
  const EnvironmentVariable count("LISTEN_FDS", "1");
  EXPECT_FALSE(is_socket_handed_over());
  for (const std::string& other : {std::string(), std::to_string(::getppid()),
                                   std::to_string(::getpid()) + "0", std::string("self")}) {
    const EnvironmentVariable process("LISTEN_PID", other);
    EXPECT_FALSE(is_socket_handed_over()) << other;
  }
  const EnvironmentVariable process("LISTEN_PID", std::to_string(::getpid()));
  EXPECT_TRUE(is_socket_handed_over());
}

TEST(SocketActivation, TheVariablesAreUsedUp) {
  const EnvironmentVariable process("LISTEN_PID", std::to_string(::getpid()));
  const EnvironmentVariable count("LISTEN_FDS", "2");
  const EnvironmentVariable names("LISTEN_FDNAMES", "one:two");
  EXPECT_THROW(take_handed_over_socket(), std::runtime_error);
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    EXPECT_EQ(std::getenv(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace server
