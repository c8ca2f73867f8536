#include "server/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "cli/command_line.h"
#include "cli/complain.h"
#include "cli/exit_code.h"
#include "cli/shared_options.h"
#include "cli/units.h"
#include "server/socket_activation.h"

namespace server {
namespace {

using net::kSecond;

constexpr const char* kFooter =
    "Signals: SIGTERM, SIGINT and SIGHUP stop accepting, flush what is owed and end; a second one\n"
    "ends at once. SIGUSR1 prints counters on stderr.\n"
    "\n"
    "As a service: a socket that is handed over (LISTEN_FDS, sd_listen_fds(3)) takes the place of\n"
    "--bind and --port; NOTIFY_SOCKET is told READY=1, STOPPING=1 and STATUS (sd_notify(3)).\n"
    "\n"
    "Exit codes: 0 fine, 1 could not run, 2 usage, 4 the backend or the strict sandbox is not\n"
    "available here.";

std::string parse_host(std::string_view text) {
  if (text.empty()) throw cli::BadValue("an address such as 127.0.0.1, ::1 or 0.0.0.0");
  return std::string(text);
}

/// Where to listen, and which option said so.
struct Place {
  std::string host = "127.0.0.1";
  std::uint16_t port = cli::kDefaultPort;
  const char* option = nullptr;
};

void listening(cli::CommandLine& line, Options& options, Place& place) {
  line.group("Listening");
  line.option("--bind", "ADDRESS", "address to listen on (127.0.0.1)", [&](auto text) {
    place.host = parse_host(text);
    place.option = "--bind";
  });
  line.option("--port", "PORT", "port to listen on; 0 takes a free one and prints it (8888)",
              [&](auto text) {
                place.port = static_cast<std::uint16_t>(cli::parse_count(text, 0, 65535));
                place.option = "--port";
              });
  line.flag("--reuse-port",
            "share the port with other processes that say so too: one for each core", [&] {
              options.port = net::Port::kShared;
              place.option = "--reuse-port";
            });
  line.option("--backlog", "N", "connections that may wait to be accepted (4096)", [&](auto text) {
    options.backlog = static_cast<int>(cli::parse_count(text, 1, 65535));
    place.option = "--backlog";
  });
}

void limits(cli::CommandLine& line, Options& options) {
  line.group("Limits");
  line.option("--max-connections", "N",
              "close those beyond N at once (what the limit of open files allows)", [&](auto text) {
                options.max_connections = static_cast<int>(cli::parse_count(text, 1, 10'000'000));
              });
  line.option("--idle-timeout", "off|TIME", "close connections that were silent this long (off)",
              [&](auto text) {
                options.idle_timeout = text == "off" ? net::kNever
                                                     : cli::parse_duration(text, net::kMillisecond,
                                                                           7 * 24 * 3600 * kSecond);
              });
  line.option("--drain-timeout", "TIME", "how long a signalled end may take (10s)", [&](auto text) {
    options.drain_timeout = cli::parse_duration(text, 0, 3600 * kSecond);
  });
}

constexpr std::array kBackends{net::Backend::kEpoll, net::Backend::kUring, net::Backend::kPoll,
                               net::Backend::kBlocking};

void engine(cli::CommandLine& line, Options& options) {
  line.group("Engine");
  line.option("--backend", "epoll|io_uring|auto|poll|blocking",
              "how it asks the kernel; auto: io_uring where it works here, else epoll; and to "
              "compare with: poll, which asks about every connection each time, and blocking, the "
              "lecture's loop in a thread per connection (epoll)",
              [&](auto text) { options.backend = cli::parse_backend(text, kBackends); });
  line.option("--busy-poll", "auto|off|always|TIME",
              "how long to spin before sleeping; auto: 50us if there are two CPUs (auto)",
              [&](auto text) { options.busy_poll = cli::parse_busy_poll(text); });
  line.option("--cpu", "N", "run on this CPU only", [&](auto text) {
    options.cpu = static_cast<int>(cli::parse_count(text, 0, cli::kMaxCpu));
  });
}

net::Address parse_next_hop(std::string_view text) {
  try {
    return net::Address::parse(text, cli::kDefaultPort);
  } catch (const std::invalid_argument& error) {
    throw cli::BadValue(error.what());
  }
}

/// A name stands in a line between " > " and " > ", and must be told apart from both.
std::string parse_name(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  const auto allowed = [](unsigned char c) { return c > ' ' && c != '>' && c != 127; };
  if (text.empty() || text.size() > kLongest || !std::ranges::all_of(text, allowed)) {
    throw cli::BadValue("a name of at most 64 bytes without spaces and '>'");
  }
  return std::string(text);
}

void chain(cli::CommandLine& line, Options& options) {
  line.group("As a node in a chain");
  line.option("--relay", "HOST:PORT", "pass everything on to this server, and back what it returns",
              [&](auto text) { options.next_hop = parse_next_hop(text); });
  line.option("--sign", "NAME", "put ' > NAME' at the end of each line before it goes on, or back",
              [&](auto text) { options.signature = " > " + parse_name(text); });
}

User parse_user(std::string_view text) {
  const std::optional<User> user = user_named(std::string(text));
  if (!user || user->id == 0) throw cli::BadValue("a user of this machine who is not root");
  return *user;
}

Sandbox parse_sandbox(std::string_view text) {
  if (text == "off") return Sandbox::kOff;
  if (text == "on") return Sandbox::kOn;
  if (text == "strict") return Sandbox::kStrict;
  throw cli::BadValue("off, on or strict");
}

void rights(cli::CommandLine& line, Options& options) {
  line.group("Rights");
  line.option("--user", "NAME", "become this user once the port is bound; needs root",
              [&](auto text) { options.user = parse_user(text); });
  line.option("--sandbox", "off|on|strict",
              "what it gives up once it listens; on: files, new TCP ports, connections but to the "
              "next hop, where the kernel has Landlock; strict: these or exit code 4, and all "
              "system calls that serving does not need (on)",
              [&](auto text) { options.sandbox = parse_sandbox(text); });
}

int complain(const std::string& text) {
  cli::complain("echo-server", text);
  return cli::kUsage;
}

/// What each option allows, and all of them together do not; 0 if nothing.
int contradiction(const Options& options) {
  const bool blocks = options.backend == net::Backend::kBlocking;
  const auto polling = options.busy_poll.kind();
  if (blocks && (polling == net::BusyPoll::Kind::kAlways || polling == net::BusyPoll::Kind::kFor)) {
    return complain("--busy-poll: the threads of --backend=blocking sleep in their calls");
  }
  if (blocks && options.next_hop) {
    return complain("--relay: needs a backend that can wait for both ends; blocking can not");
  }
  const auto& next = options.next_hop;
  const auto& own = options.address;
  if (next && own && own->port() != 0 && next->to_string() == own->to_string()) {
    return complain(fmt::format("--relay: {} is this server itself", next->to_string()));
  }
  return 0;
}

}  // namespace

std::variant<Options, int> parse_options(int argc, const char* const* argv) {
  Options options;
  Place place;

  cli::CommandLine line("echo-server", "Returns every byte that it receives (RFC 862).");
  listening(line, options, place);
  engine(line, options);
  limits(line, options);
  rights(line, options);
  chain(line, options);
  line.footer(kFooter);
  if (const auto code = line.parse(argc, argv)) return *code;

  const bool handed_over = is_socket_handed_over();
  if (handed_over && place.option != nullptr) {
    return complain(fmt::format("{}: the socket that was handed over (LISTEN_FDS) listens already",
                                place.option));
  }
  if (!handed_over) options.address = net::Address::resolve(place.host, place.port);
  if (const int code = contradiction(options)) return code;
  return options;
}

}  // namespace server
