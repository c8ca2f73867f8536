#include "server/options.h"

#include <cstdint>
#include <exception>
#include <string>

#include "cli/command_line.h"
#include "cli/exit_code.h"
#include "cli/shared_options.h"
#include "cli/units.h"

namespace server {
namespace {

using net::kSecond;

constexpr const char* kFooter =
    "Signals: SIGTERM, SIGINT and SIGHUP stop accepting, flush what is owed and end; a second one\n"
    "ends at once. SIGUSR1 prints counters on stderr.\n"
    "\n"
    "Exit codes: 0 fine, 1 could not run, 2 usage, 4 the backend is not available here.";

std::string parse_host(std::string_view text) {
  if (text.empty()) throw cli::BadValue("an address such as 127.0.0.1, ::1 or 0.0.0.0");
  return std::string(text);
}

void limits(cli::CommandLine& line, Options& options) {
  line.group("Limits");
  line.option("--backlog", "N", "connections that may wait to be accepted (4096)", [&](auto text) {
    options.backlog = static_cast<int>(cli::parse_count(text, 1, 65535));
  });
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

void engine(cli::CommandLine& line, Options& options) {
  line.group("Engine");
  line.option("--backend", "NAME",
              "epoll, io_uring, or auto: io_uring where it works here, else epoll (epoll)",
              [&](auto text) { options.backend = cli::parse_backend(text); });
  line.option("--busy-poll", "auto|off|always|TIME",
              "how long to spin before sleeping; auto: 50us if there are two CPUs (auto)",
              [&](auto text) { options.busy_poll = cli::parse_busy_poll(text); });
  line.option("--cpu", "N", "run on this CPU only", [&](auto text) {
    options.cpu = static_cast<int>(cli::parse_count(text, 0, cli::kMaxCpu));
  });
}

}  // namespace

std::variant<Options, int> parse_options(int argc, const char* const* argv) {
  Options options;
  std::string host = "127.0.0.1";
  std::uint16_t port = cli::kDefaultPort;

  cli::CommandLine line("echo-server", "Returns every byte that it receives (RFC 862).");
  line.group("Listening");
  line.option("--bind", "ADDRESS", "address to listen on (127.0.0.1)",
              [&](auto text) { host = parse_host(text); });
  line.option(
      "--port", "PORT", "port to listen on; 0 takes a free one and prints it (8888)",
      [&](auto text) { port = static_cast<std::uint16_t>(cli::parse_count(text, 0, 65535)); });
  engine(line, options);
  limits(line, options);
  line.footer(kFooter);
  if (const auto code = line.parse(argc, argv)) return *code;

  options.address = net::Address::resolve(host, port);
  return options;
}

}  // namespace server
