// The line that shows a run as it goes: how far it is, and what the last interval was like.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "loadgen/intervals.h"
#include "net/clock.h"

namespace loadgen {

class LiveLine {
 public:
  /// Shows nothing where stderr is not a terminal, or `quiet`.
  LiveLine(bool quiet, net::Nanos interval);
  /// Takes the line away again.
  ~LiveLine();
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  struct State {
    std::string_view phase;  // "warming up"
    net::Nanos elapsed = 0;
    net::Nanos total = 0;              // 0: not known
    std::optional<Interval> interval;  // the newest
    std::uint64_t errors = 0;
  };
  void show(const State& state);

 private:
  bool on_;
  bool colour_;
  net::Nanos interval_;
  bool shown_ = false;
};

/// The text for a terminal of this width, without escapes.
std::string live_text(const LiveLine::State& state, net::Nanos interval, std::size_t width);

}  // namespace loadgen
