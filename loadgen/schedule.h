// When the messages of an open loop are due. The times follow from the rate, the kind of arrivals
// and the seed alone, never from what was sent or came back: that is what makes the loop open, and
// what lets a stall be seen in full (Schroeder, Wierman, Harchol-Balter, "Open Versus Closed: A
// Cautionary Tale", NSDI 2006).
//
// Work that waits is no queue of items: it is whatever is due from next() up to now.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "loadgen/split_mix.h"
#include "net/clock.h"

namespace loadgen {

enum class Arrivals : std::uint8_t {
  kUniform,  // one every 1/rate
  kPoisson   // independent of each other, as from many users: exponential gaps
};

/// "uniform", "poisson".
constexpr std::string_view name_of(Arrivals arrivals) {
  return arrivals == Arrivals::kUniform ? "uniform" : "poisson";
}

class Schedule {
 public:
  static constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

  struct Plan {
    Arrivals arrivals = Arrivals::kUniform;
    double rate = 1;         // messages per second
    double phase = 0;        // uniform: the first comes so many gaps after the start, 0 to 1
    std::uint64_t seed = 0;  // Poisson
    net::Nanos start = 0;    // nothing is due before
    net::Nanos end = 0;      // nothing is due from here on
    std::uint64_t messages = kUnlimited;  // and no more than these
  };

  /// Nothing is ever due.
  Schedule() = default;

  explicit Schedule(const Plan& plan)
      : arrivals_(plan.arrivals),
        rate_(plan.rate),
        phase_(plan.phase),
        random_(plan.seed),
        start_(plan.start),
        end_(plan.end),
        left_(plan.messages) {
    if (arrivals_ == Arrivals::kPoisson) offset_ = exponential();
    settle();
  }

  /// When the first message that was not taken is due; net::kNever where there is none.
  net::Nanos next() const { return next_; }

  /// The message of next() has been sent. Requires next() != net::kNever.
  void take() {
    ++taken_;
    --left_;
    if (arrivals_ == Arrivals::kPoisson) offset_ += exponential();
    settle();
  }

  /// From now on nothing is due at `end` or later.
  void end_at(net::Nanos end) {
    end_ = end;
    settle();
  }

  /// How many are due before `t` and were not taken, counted up to `most`. Poisson ones have to be
  /// counted one by one; of uniform ones all but the last few are known to be due.
  std::uint64_t waiting(net::Nanos t, std::uint64_t most) const {
    Schedule ahead = *this;
    std::uint64_t count = std::min(most, ahead.skip_before(std::min(t, end_)));
    for (; count < most && ahead.next_ < t; ++count) ahead.take();
    return count;
  }

 private:
  /// Takes uniform messages that are certainly due before `t`; how many.
  std::uint64_t skip_before(net::Nanos t) {
    constexpr double kMargin = 16;  // more than rounding can be off by
    const double due = static_cast<double>(t - start_) * rate_ / net::kSecond - phase_;
    const double sure = due - static_cast<double>(taken_) - kMargin;
    if (arrivals_ != Arrivals::kUniform || next_ == net::kNever || sure < 1) return 0;
    const std::uint64_t skipped = std::min(left_, static_cast<std::uint64_t>(sure));
    taken_ += skipped;
    left_ -= skipped;
    settle();
    return skipped;
  }

  double exponential() { return -std::log(random_.fraction()) * net::kSecond / rate_; }

  // Each uniform time is computed from its number, so that nothing adds up over a long run; and by
  // one division of whole numbers, so that whole results come out whole.
  void settle() {
    const double offset = arrivals_ == Arrivals::kUniform
                              ? (static_cast<double>(taken_) + phase_) * net::kSecond / rate_
                              : offset_;
    next_ = start_ + static_cast<net::Nanos>(offset);
    if (left_ == 0 || next_ >= end_) next_ = net::kNever;
  }

  Arrivals arrivals_ = Arrivals::kUniform;
  double rate_ = 0;
  double phase_ = 0;
  double offset_ = 0;
  SplitMix random_{0};
  net::Nanos start_ = 0;
  net::Nanos end_ = 0;
  std::uint64_t left_ = 0;
  std::uint64_t taken_ = 0;
  net::Nanos next_ = net::kNever;
};

}  // namespace loadgen
