#include "server/socket_activation.h"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "net/socket.h"

namespace server {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

bool is_socket_handed_over() { return variable("LISTEN_PID") == std::to_string(::getpid()); }

net::Fd take_handed_over_socket() {
  const std::string count = variable("LISTEN_FDS");
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  if (count != "1") {
    throw std::runtime_error("LISTEN_FDS=" + count +
                             ": one socket can be listened on, no other number");
  }
  return net::adopt_listener(net::Fd(kFirst));
}

}  // namespace server
