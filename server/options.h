// What echo-server was asked to do.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "net/address.h"
#include "net/backend.h"
#include "net/busy_poll.h"
#include "net/socket.h"
#include "server/privileges.h"
#include "server/sandbox.h"

namespace server {

struct Options {
  std::optional<net::Backend> backend = net::Backend::kEpoll;  // nullopt: auto
  std::optional<net::Address> address;  // nullopt: the socket that was handed over
  net::Port port = net::Port::kOwn;
  int backlog = 4096;
  std::optional<int> max_connections;  // nullopt: as many as RLIMIT_NOFILE allows
  net::Nanos idle_timeout = net::kNever;
  net::Nanos drain_timeout = 10 * net::kSecond;
  net::BusyPoll busy_poll = net::BusyPoll::automatic();
  std::optional<int> cpu;
  std::optional<net::Address> next_hop;  // --relay
  std::optional<User> user;              // --user: whose process it is once it has its port
  Sandbox sandbox = Sandbox::kOn;
  std::string signature;  // " > NAME", what --sign puts behind each line
};

/// The options, or the exit code to end with after --help or a usage error.
std::variant<Options, int> parse_options(int argc, const char* const* argv);

}  // namespace server
