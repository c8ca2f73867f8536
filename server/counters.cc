#include "server/counters.h"

#include <fmt/format.h>

#include <cstring>
#include <new>
#include <string>

#include "cli/complain.h"
#include "server/loop_guard.h"
#include "server/signing.h"

namespace server {
namespace {

void say(const std::string& line) { cli::complain("echo-server", line); }

std::string line_of(const Counters& counters, const net::EngineCounters& engine, std::uint32_t open,
                    std::optional<std::uint64_t> listen_overflows) {
  std::string line = fmt::format(
      "open={} accepted={} turned_away={} timed_out={} unreachable={} loops={} long_lines={} "
      "bytes={} waits={} parked={} starved={} "
      "overflows={} accept_failures={}",
      open, engine.accepted, counters.turned_away, counters.timed_out, counters.unreachable,
      counters.loops, counters.long_lines, counters.bytes, engine.waits, engine.parked,
      engine.starved, engine.overflows, engine.accept_failures);
  if (listen_overflows) line += fmt::format(" listen_overflows={}", *listen_overflows);
  for (std::size_t error = 0; error < counters.errors.size(); ++error) {
    const std::uint64_t count = counters.errors[error];
    const char* name = strerrorname_np(static_cast<int>(error));
    if (count > 0 && name != nullptr) line += fmt::format(" {}={}", name, count);
  }
  return line;
}

}  // namespace

void print(const Counters& counters, const net::EngineCounters& engine, std::uint32_t open,
           std::optional<std::uint64_t> listen_overflows) try {
  say(line_of(counters, engine, open, listen_overflows));
} catch (const std::bad_alloc&) {
}

void Log::report_now(const net::EngineCounters& engine, const Counters& counters) {
  const net::Nanos now = net::now();
  if (now < silent_until_) return;
  silent_until_ = now + net::kSecond;
  try {
    say_all(engine, counters);
  } catch (const std::bad_alloc&) {
    return;
  }
  accept_failures_ = engine.accept_failures;
  said_ = counters;
}

void Log::say_all(const net::EngineCounters& engine, const Counters& counters) const {
  if (engine.accept_failures != accept_failures_) {
    say(fmt::format("cannot accept: {} ({} times so far)", std::strerror(engine.last_accept_errno),
                    engine.accept_failures));
  }
  if (counters.turned_away != said_.turned_away) {
    say(fmt::format("too many connections: {} turned away so far", counters.turned_away));
  }
  if (counters.unreachable != said_.unreachable) {
    say(fmt::format("cannot reach the next hop: {} ({} clients closed so far)",
                    std::strerror(counters.last_unreachable_errno), counters.unreachable));
  }
  if (counters.loops != said_.loops) {
    say(
        fmt::format("this chain leads back to itself, or has more than {} nodes: {} clients closed "
                    "so far",
                    LoopGuard::kMostHops, counters.loops));
  }
  if (counters.long_lines != said_.long_lines) {
    say(fmt::format("a line was longer than {} bytes: {} clients closed so far",
                    SignedStream::kLongestLine, counters.long_lines));
  }
}

}  // namespace server
