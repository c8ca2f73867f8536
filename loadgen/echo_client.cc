// echo-client: Task 1's client. The lecture's calls in the lecture's order:
//
//     socket, connect, then for each message: send it, receive the reply, print it; close.
//
// A message is a line: an argument, or a line of standard input. TCP knows no messages, only a
// stream of bytes, so the newline is what tells this client where a reply ends.

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/command_line.h"
#include "cli/complain.h"
#include "cli/exit_code.h"
#include "cli/shared_options.h"
#include "cli/standard_streams.h"
#include "cli/units.h"
#include "net/address.h"
#include "net/fd.h"
#include "net/socket.h"

namespace {

/// The reply is not the message: another one, or none.
struct WrongReply : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

net::Fd connect_to(const net::Address& server) {
  net::Fd fd = net::socket_for(server, net::Mode::kBlocking);
  if (!fd) fail("cannot make a socket");
  if (::connect(fd.get(), server.data(), server.size()) != 0) {
    fail("cannot connect to " + server.to_string());
  }
  return fd;
}

void print(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() ||
      std::fflush(stdout) != 0) {
    fail("cannot print the reply");
  }
}

void send_some(int fd, std::string_view& rest) {
  const ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN) fail("cannot send");
  rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
}

void receive_some(int fd, std::string& reply) {
  std::array<char, 64 * 1024> buffer;
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (got < 0) fail("cannot receive");
  if (got == 0) {
    print(reply);
    throw WrongReply("the server closed the connection before its reply was complete");
  }
  reply.append(buffer.data(), static_cast<std::size_t>(got));
}

// Sends the line and receives until a newline is back. Both at once: the server echoes while a long
// line is still being sent, and would stop reading if nobody took its echo.
std::string round_trip(int fd, std::string_view line) {
  std::string reply;
  for (std::size_t searched = 0; reply.find('\n', searched) == std::string::npos;) {
    searched = reply.size();
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    if (!line.empty()) ready.events |= POLLOUT;
    if (::poll(&ready, 1, -1) < 0) fail("cannot wait for the server");
    if ((ready.revents & POLLOUT) != 0) send_some(fd, line);
    if ((ready.revents & (POLLIN | POLLHUP | POLLERR)) != 0) receive_some(fd, reply);
  }
  return reply;
}

void talk(int fd, std::string message) {
  message += '\n';
  const std::string reply = round_trip(fd, message);
  print(reply);
  // What follows the message is how the nodes of a chain sign it.
  if (!reply.starts_with(std::string_view(message).substr(0, message.size() - 1))) {
    throw WrongReply("the reply is not what was sent");
  }
  if (reply.find('\n') + 1 != reply.size()) throw WrongReply("more came back than one reply");
}

bool is_address(std::string_view argument) {
  return argument.find(':') != std::string_view::npos &&
         argument.find_first_of(" \t\n") == std::string_view::npos;
}

net::Address parse_address(std::string_view text) {
  try {
    return net::Address::parse(text, cli::kDefaultPort);
  } catch (const std::invalid_argument& error) {
    throw cli::BadValue(error.what());
  }
}

std::optional<int> parse(int argc, char** argv, net::Address& server,
                         std::vector<std::string>& messages) {
  bool first = true;
  cli::CommandLine line("echo-client", "Sends messages to an echo server and prints the replies.");
  line.positional("[HOST:PORT] [MESSAGE]...",
                  "the server, if the first argument has a colon and no blank (127.0.0.1:8888); "
                  "then messages; without any, each line of standard input is one",
                  100'000, [&](std::string_view argument) {
                    if (first && is_address(argument)) {
                      server = parse_address(argument);
                    } else if (argument.find('\n') != std::string_view::npos) {
                      throw cli::BadValue("one line; each argument is a message of its own");
                    } else {
                      messages.emplace_back(argument);
                    }
                    first = false;
                  });
  line.footer(
      "Exit codes: 0 fine, 1 could not run, 2 usage, 3 another reply than the message, or none.");
  return line.parse(argc, argv);
}

int run(int argc, char** argv) {
  net::Address server = parse_address("127.0.0.1");
  std::vector<std::string> messages;
  if (const auto code = parse(argc, argv, server, messages)) return *code;

  const net::Fd fd = connect_to(server);
  for (const std::string& message : messages) talk(fd.get(), message);
  if (!messages.empty()) return cli::kOk;
  for (std::string line; std::getline(std::cin, line);) talk(fd.get(), line);
  return cli::kOk;
}

int complain(const std::exception& failure, int code) {
  cli::complain("echo-client", failure.what());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  cli::guard_standard_streams();
  try {
    return run(argc, argv);
  } catch (const WrongReply& failure) {
    return complain(failure, cli::kDoesNotHold);
  } catch (const std::exception& failure) {
    return complain(failure, cli::kFailed);
  }
}
