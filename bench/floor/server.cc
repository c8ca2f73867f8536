// The floor's server as a program: accepts as many connections as it is told, and then returns what
// comes on each in its turn. Usage: floor_server PORT CONNECTIONS MESSAGE-SIZE PIPELINE block|spin
//
// It is no server that anybody could use, since it must know the order in which messages come. Its
// client is client.cc.
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "bench/floor/in_turn.h"
#include "cli/exit_code.h"
#include "net/address.h"
#include "net/open_files.h"
#include "net/socket.h"

namespace bench {
namespace {

constexpr int kBacklog = 4096;

std::vector<net::Fd> accept_all(const net::Fd& listener, std::size_t count) {
  std::vector<net::Fd> clients(count);
  for (net::Fd& client : clients) {
    client = net::Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) fail("accept4");
    limit_waiting(client.get());
  }
  return clients;
}

template <Waiting kWaiting>
void serve(const std::vector<net::Fd>& clients, std::size_t turn) {
  std::vector<std::byte> buffer(turn);
  for (;;) {
    for (const net::Fd& client : clients) {
      if (!echo<kWaiting>(client, buffer)) return;
    }
  }
}

std::size_t number(std::string_view text, std::size_t most) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > most) {
    throw std::invalid_argument(
        "usage: floor_server PORT CONNECTIONS MESSAGE-SIZE PIPELINE block|spin");
  }
  return value;
}

void run(const std::vector<std::string_view>& arguments) {
  if (arguments.size() != 5) number("", 0);
  const auto port = static_cast<std::uint16_t>(number(arguments[0], 65535));
  const std::size_t connections = number(arguments[1], 1'000'000);
  const std::size_t turn =
      bytes_a_turn(number(arguments[2], 1 << 30), number(arguments[3], 1 << 16));
  const net::Fd listener = net::listen_on(net::Address::resolve("127.0.0.1", port), kBacklog);
  for (;;) {
    const std::vector<net::Fd> clients = accept_all(listener, connections);
    if (arguments[4] == "spin") {
      serve<Waiting::kSpinning>(clients, turn);
    } else {
      serve<Waiting::kBlocking>(clients, turn);
    }
  }
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    net::raise_open_files();
    bench::run({argv + 1, argv + argc});
    return 0;
  } catch (const std::invalid_argument& usage) {
    std::fprintf(stderr, "%s\n", usage.what());
    return cli::kUsage;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "floor_server: %s\n", failure.what());
    return cli::kFailed;
  }
}
