// What SIGUSR1 prints, and what is said on stderr, at most once a second, when something is wrong.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "net/clock.h"
#include "net/engine.h"

namespace server {

struct Counters {
  std::uint64_t bytes = 0;        // received, and so owed or sent back
  std::uint64_t turned_away = 0;  // beyond --max-connections
  std::uint64_t timed_out = 0;    // --idle-timeout
  std::uint64_t unreachable = 0;  // clients for whom the next hop did not answer (--relay)
  int last_unreachable_errno = 0;
  std::uint64_t loops = 0;                  // clients that came round in a circle (--relay)
  std::uint64_t long_lines = 0;             // clients that sent what is no line (--sign)
  std::array<std::uint64_t, 134> errors{};  // connections that ended with this errno

  /// A connection has ended; 0: not by an error.
  void ended_with(int error) {
    if (error > 0 && static_cast<std::size_t>(error) < errors.size()) {
      ++errors[static_cast<std::size_t>(error)];
    }
  }

  /// What is worth a line on stderr.
  std::uint64_t troubles() const { return turned_away + unreachable + loops + long_lines; }
};

/// One line on stderr, unless there is no memory for it.
void print(const Counters& counters, const net::EngineCounters& engine, std::uint32_t open,
           std::optional<std::uint64_t> listen_overflows);

/// Says what has gone wrong since it last did, as far as there is memory for the words.
class Log {
 public:
  void report(const net::EngineCounters& engine, const Counters& counters) {
    if (engine.accept_failures != accept_failures_ || counters.troubles() != said_.troubles()) {
      report_now(engine, counters);
    }
  }

 private:
  void report_now(const net::EngineCounters& engine, const Counters& counters);
  void say_all(const net::EngineCounters& engine, const Counters& counters) const;

  std::uint64_t accept_failures_ = 0;
  Counters said_;
  net::Nanos silent_until_ = 0;
};

}  // namespace server
