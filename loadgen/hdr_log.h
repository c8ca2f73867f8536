// The samples by interval, as a log in HdrHistogram's own format, for its viewers and processors.
// The result's `intervals` say how three figures moved; from this every quantile of any part of the
// run can be had, since histograms add up.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "loadgen/histogram.h"
#include "net/clock.h"

namespace loadgen {

/// A sample belongs to the interval in which its reply came, and a last line holds what came after
/// the window: the lines of one tag add up to that histogram of the result, sample by sample.
///
/// Workers hand in what their own histograms have grown by, so that the log costs nothing per
/// message; the kilobytes that differ are all that is kept.
class HdrLog {
 public:
  HdrLog(std::size_t workers, net::Nanos interval);

  /// Worker number `worker` has had these samples in all when its interval number `index` ended,
  /// `end` after the window began. Each worker hands in by rising index; the last one may be handed
  /// in again.
  void add(std::size_t worker, std::size_t index, net::Nanos end, const Histogram& latency,
           const Histogram& service);

  /// The log: format version 1.3 (HdrHistogram's HistogramLogWriter), one line per interval and tag
  /// (latency, service); values in nanoseconds, but for Interval_Max, which every writer of the
  /// format gives in milliseconds. The window began at `began`.
  std::string text(std::chrono::system_clock::time_point began) const;

 private:
  using Growth = std::vector<std::pair<std::size_t, std::int64_t>>;  // bucket, samples

  /// What a worker has handed in already: counts by bucket.
  struct Seen {
    std::vector<std::int64_t> latency, service;
  };
  struct Entry {
    net::Nanos end = 0;
    Growth latency, service;  // of all workers, one behind the other
  };

  static Growth growth(const Histogram& samples, std::vector<std::int64_t>& seen);

  net::Nanos interval_;
  std::vector<Seen> seen_;  // by worker; each touches its own
  std::mutex mutex_;
  std::map<std::size_t, Entry> entries_;  // by the interval's number
};

}  // namespace loadgen
