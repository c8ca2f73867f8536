// When a connection that was lost is made anew: after 10 ms, and after twice as long for each
// attempt that was in vain, up to 1 s. Each wait is drawn from the longer half of that, so that
// five hundred connections that were lost together do not come back together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "loadgen/split_mix.h"
#include "net/clock.h"

namespace loadgen {

/// A place among a worker's connections that is to be taken.
struct Vacancy {
  std::uint32_t position = 0;  // in the payload, to go on from
  std::uint32_t attempt = 0;   // at making a lost connection anew, from 1; 0: none was lost
};

class BackOff {
 public:
  static constexpr net::Nanos kShortest = 10 * net::kMillisecond;
  static constexpr net::Nanos kLongest = net::kSecond;

  explicit BackOff(std::uint64_t seed) : random_(seed) {}

  /// Requires an attempt.
  void add(const Vacancy& vacancy, net::Nanos now) {
    waiting_.push({.due = now + wait_before(vacancy.attempt), .vacancy = vacancy});
    next_ = waiting_.top().due;
  }

  /// When the first one is due; net::kNever where none waits.
  net::Nanos next() const { return next_; }
  std::size_t size() const { return waiting_.size(); }

  /// The first one. Requires next() != net::kNever.
  Vacancy take() {
    const Vacancy first = waiting_.top().vacancy;
    waiting_.pop();
    next_ = waiting_.empty() ? net::kNever : waiting_.top().due;
    return first;
  }

 private:
  struct Waiting {
    net::Nanos due;
    Vacancy vacancy;
    bool operator>(const Waiting& other) const { return due > other.due; }
  };

  net::Nanos wait_before(std::uint32_t attempt) {
    constexpr std::uint32_t kMostDoublings = 7;
    const net::Nanos doubled = kShortest << std::min(attempt - 1, kMostDoublings);
    const auto most = static_cast<double>(std::min(doubled, kLongest));
    return static_cast<net::Nanos>(most * (1 + random_.fraction()) / 2);
  }

  SplitMix random_;
  std::priority_queue<Waiting, std::vector<Waiting>, std::greater<>> waiting_;
  net::Nanos next_ = net::kNever;
};

}  // namespace loadgen
