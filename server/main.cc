// echo-server: read the command line, listen, say so, serve until a signal comes.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cli/complain.h"
#include "cli/exit_code.h"
#include "cli/standard_streams.h"
#include "net/backend.h"
#include "net/open_files.h"
#include "net/signals.h"
#include "net/socket.h"
#include "server/echo_server.h"
#include "server/housekeeping.h"
#include "server/notify_socket.h"
#include "server/options.h"
#include "server/privileges.h"
#include "server/relay.h"
#include "server/sandbox.h"
#include "server/signing_echo.h"
#include "server/socket_activation.h"

namespace server {
namespace {

void warn(const std::string& text) { cli::complain("echo-server", text); }

// As many as there are descriptors, less those in use and one to turn a further client away with
// (for which the descriptor of the iteration stands).
std::uint32_t max_connections(const Options& options) {
  const rlim_t files = net::raise_open_files();
  std::error_code ignored;
  const std::filesystem::directory_iterator open_files("/proc/self/fd", ignored);
  const auto used = static_cast<rlim_t>(std::distance(begin(open_files), end(open_files)));
  const rlim_t each = options.next_hop ? 2 : 1;
  const rlim_t possible = files > used + each ? (files - used) / each : 1;
  const auto asked = static_cast<rlim_t>(
      options.max_connections.value_or(std::numeric_limits<std::int32_t>::max()));
  if (options.max_connections && asked > possible) {
    warn(fmt::format("--max-connections: only {} of {}: RLIMIT_NOFILE is {}", possible, asked,
                     files));
  } else if (possible < static_cast<rlim_t>(options.backlog) && possible < asked) {
    // Fewer than may queue to be accepted: the limit will be met.
    warn(fmt::format("at most {} connections at a time: RLIMIT_NOFILE is {}", possible, files));
  }
  return static_cast<std::uint32_t>(std::min(asked, possible));
}

void warn_of_surprises(const Options& options, const net::Address& address) {
  int somaxconn = options.backlog;
  std::ifstream("/proc/sys/net/core/somaxconn") >> somaxconn;
  if (options.address && options.backlog > somaxconn) {
    warn(fmt::format("--backlog: the kernel clamps {} to {} (net.core.somaxconn)", options.backlog,
                     somaxconn));
  }
  if (!address.is_loopback()) {
    warn(fmt::format("anyone who reaches {} can use this server: it has no access control",
                     address.to_string()));
  }
}

// Until it serves, a lack of memory ends it here and not by an exception: libraries need memory
// where none may be thrown, before main() too.
[[noreturn]] void end_without_memory() {
  constexpr std::string_view kReason = "echo-server: Cannot allocate memory\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kReason.data(), kReason.size());
  ::_exit(cli::kFailed);
}

struct StartUp {
  StartUp() { std::set_new_handler(end_without_memory); }
  static void is_over() { std::set_new_handler(nullptr); }
};
[[gnu::init_priority(101)]] const StartUp kStartUp;  // the first that the implementation leaves us

void announce(const net::Address& address, net::Backend backend, const NotifySocket& manager) {
  const std::string line =
      fmt::format("listening on {} ({})\n", address.to_string(), net::name_of(backend));
  const std::string status = "READY=1\nSTATUS=" + line;
  StartUp::is_over();
  std::fputs(line.c_str(), stdout);  // who closed stdout does not want to know
  std::fflush(stdout);
  manager.tell(status);
}

net::Fd listener_for(const Options& options) {
  if (!options.address) return take_handed_over_socket();
  return net::listen_on(*options.address, options.backlog, options.port);
}

net::Backend choose(const Options& options) {
  if (options.backend) return *options.backend;
  std::string why_not;
  const net::Backend backend = net::best_backend(why_not);
  if (!why_not.empty()) warn(why_not + "; using epoll");
  return backend;
}

std::optional<std::uint16_t> port_of(const std::optional<net::Address>& address) {
  return address ? std::optional(address->port()) : std::nullopt;
}

/// Runs the service that was asked for, on this engine, and leaves it in `kept`. `ready` is called
/// when all is made that it needs.
template <net::ServerEngine IO>
int run_service(IO& io, const Options& options, Housekeeping& house, std::shared_ptr<void>& kept,
                const auto& ready) {
  const auto run = [&]<class Service>(std::shared_ptr<Service> service) {
    kept = service;
    ready();
    return house.run(io, *service);
  };
  if constexpr (net::Engine<IO>) {
    if (options.next_hop) {
      return run(std::make_shared<Relay<IO>>(house, *options.next_hop, options.signature));
    }
  }
  if (!options.signature.empty()) {
    return run(std::make_shared<SigningEcho<IO>>(house, options.signature));
  }
  return run(std::make_shared<EchoServer<IO>>(house));
}

int serve(const Options& options) {
  net::Signals signals({SIGTERM, SIGINT, SIGHUP, SIGUSR1});
  const net::Nanos spin = options.busy_poll.spin(net::usable_cpus(), 1);
  if (options.cpu) net::pin_to_cpu(*options.cpu);
  // A ring's requests have the rights of its maker: the port first, then the rights, then the ring.
  net::Fd listener = listener_for(options);
  NotifySocket manager(std::getenv("NOTIFY_SOCKET"));
  if (options.user) become(*options.user);
  const net::Backend backend = choose(options);
  const auto use = options.sandbox == Sandbox::kStrict ? net::Use::kOwn : net::Use::kAny;
  // A service owns what its connections are being sent, and these end with the engine: after it.
  std::shared_ptr<void> service;
  const auto run = [&](net::ServerEngine auto& io) {
    const net::Address address = net::Address::of_socket(listener.get());
    if (options.next_hop) net::keep_syn(listener.get());
    if (io.description() != net::name_of(backend)) {
      std::fprintf(stderr, "%s\n", io.description().c_str());
    }
    warn_of_surprises(options, address);
    io.watch(signals.fd());
    io.listen(std::move(listener));
    ListenOverflows listen_overflows;  // has a descriptor too
    const std::uint32_t most = max_connections(options);
    Housekeeping house(options, most, signals, std::move(manager), std::move(listen_overflows));
    enter(options.sandbox, backend, port_of(options.next_hop));
    const auto ready = [&] { announce(address, backend, house.manager()); };
    return run_service(io, options, house, service, ready);
  };
  return net::with_engine(backend, spin, run, use);
}

int run(int argc, const char* const* argv) {
  try {
    const auto parsed = parse_options(argc, argv);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    return serve(std::get<Options>(parsed));
  } catch (const SandboxUnavailable& unavailable) {
    warn(unavailable.what());
    return cli::kUnavailable;
  } catch (const net::BackendUnavailable& unavailable) {
    warn(unavailable.what());
    return cli::kUnavailable;
  } catch (const std::exception& failure) {
    warn(failure.what());
    return cli::kFailed;
  }
}

}  // namespace
}  // namespace server

int main(int argc, char** argv) {
  cli::guard_standard_streams();
  return server::run(argc, argv);
}
