#include "server/counters.h"

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "cli/complain.h"

namespace server {
namespace {

void say(const std::string& line) { cli::complain("echo-server", line); }

}  // namespace

void print(const Counters& counters, const net::EngineCounters& engine, std::uint32_t open) {
  std::string line = fmt::format(
      "open={} accepted={} turned_away={} timed_out={} bytes={} waits={} parked={} starved={} "
      "overflows={} accept_failures={}",
      open, engine.accepted, counters.turned_away, counters.timed_out, counters.bytes, engine.waits,
      engine.parked, engine.starved, engine.overflows, engine.accept_failures);
  for (const auto& [error, count] : counters.errors) {
    line += fmt::format(" {}={}", strerrorname_np(error), count);
  }
  say(line);
}

void Log::report_now(const net::EngineCounters& engine, const Counters& counters) {
  const net::Nanos now = net::now();
  if (now < silent_until_) return;
  silent_until_ = now + net::kSecond;
  if (engine.accept_failures != accept_failures_) {
    say(fmt::format("cannot accept: {} ({} times so far)", std::strerror(engine.last_accept_errno),
                    engine.accept_failures));
  }
  if (counters.turned_away != turned_away_) {
    say(fmt::format("too many connections: {} turned away so far", counters.turned_away));
  }
  accept_failures_ = engine.accept_failures;
  turned_away_ = counters.turned_away;
}

}  // namespace server
