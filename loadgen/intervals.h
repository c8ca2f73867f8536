// The run in pieces of a second: what the live line shows and the result's `intervals`. Workers
// hand in one histogram per interval; this is the only thing they share with the others while they
// run, and they touch it once per interval.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "loadgen/histogram.h"
#include "net/clock.h"

namespace loadgen {

/// One interval, of all workers.
struct Interval {
  net::Nanos end = 0;  // since the window began
  std::int64_t messages = 0;
  std::optional<std::int64_t> p50, p99, max;
};

class IntervalLog {
 public:
  /// An interval whole, for another process's log.
  struct Closed {
    std::size_t index = 0;
    net::Nanos end = 0;
    std::unique_ptr<Histogram> sum;
  };

  /// `hand_on`: what is closed is kept for take_closed(), and not here.
  explicit IntervalLog(std::size_t workers, bool hand_on = false)
      : hand_on_(hand_on), handed_in_(workers) {}

  /// Worker number `worker`'s part of interval number `index`, which ended `end` after the window
  /// began. Each worker hands its parts in by rising index.
  void add(std::size_t worker, std::size_t index, net::Nanos end, const Histogram& part);

  /// A worker has handed in its last one, and is not waited for any more.
  void leave(std::size_t worker);

  /// The last interval that all workers have handed in.
  std::optional<Interval> newest();

  /// Those that were closed since the last call, by time.
  std::vector<Closed> take_closed();

  /// All of them, by time; those that no worker handed in are empty. When the workers have ended.
  std::vector<Interval> all(net::Nanos length);

 private:
  struct Open {
    net::Nanos end = 0;
    std::unique_ptr<Histogram> sum;
  };
  void close_complete();

  bool hand_on_;
  std::mutex mutex_;
  std::vector<std::size_t> handed_in_;  // by worker: up to which index
  std::map<std::size_t, Open> open_;
  std::map<std::size_t, Interval> closed_;
  std::vector<Closed> to_hand_on_;
};

}  // namespace loadgen
