// What a worker observes of itself: how much of its time it waited for the server, and when it was
// not there though it should have been. A generator that was stopped, descheduled or simply full
// measures itself; this is what tells such a run from a run with a slow server.
//
// It looks at the clock readings that the worker takes anyway. A gap between two of them that the
// worker did not ask for, and in which its thread used no CPU time, is a stall of its own.
#pragma once

#include <algorithm>
#include <cstdint>

#include "net/clock.h"

namespace loadgen {

class SelfWatch {
 public:
  /// A shorter gap is none: the kernel's scheduler lets another thread go first for some
  /// milliseconds. (Those are summed up by the kernel itself: see run_delay() in host_cpu.h.)
  static constexpr net::Nanos kNoticeable = 5 * net::kMillisecond;
  /// The worker must look at least so often, for a stop within a wait shorter than that goes
  /// unseen.
  static constexpr net::Nanos kLongestWait = 10 * net::kMillisecond;

  /// `spins`: waiting uses CPU time too.
  explicit SelfWatch(bool spins) : spins_(spins) {}

  /// Only what falls into this window counts.
  void window(net::Nanos begin, net::Nanos end) {
    begin_ = begin;
    end_ = end;
    last_ = 0;
  }

  /// The worker waits now, `until` then at most; woke() ends it.
  void waits(net::Nanos t, net::Nanos until) {
    last_ = t;
    waits_until_ = until;
  }
  bool is_waiting() const { return waits_until_ != 0; }
  void woke(net::Nanos t) {
    const net::Nanos asked = std::max(last_, std::min(t, waits_until_));
    waited_ += within_window(last_, asked);
    slept_ += spins_ ? 0 : asked - last_;
    waits_until_ = 0;
    note_gap(asked, t);
  }

  /// One turn of the worker's loop. true: check() is due.
  bool look(net::Nanos t) {
    note_gap(last_, t);
    return gap_end_ != 0 || t - checked_at_ >= kNoticeable;
  }

  /// `cpu`: the CPU time of the worker's thread.
  void check(net::Nanos t, net::Nanos cpu) {
    if (gap_end_ != 0) {
      // Busy is not stalled: a batch of large messages may well take this long.
      const net::Nanos not_running = t - checked_at_ - (cpu - cpu_) - slept_;
      const net::Nanos lost = std::min(gap_end_ - gap_begin_, not_running);
      if (lost >= kNoticeable) {
        const net::Nanos counted = within_window(gap_end_ - lost, gap_end_);
        stalled_ += counted;
        longest_stall_ = std::max(longest_stall_, counted);
      }
    }
    gap_begin_ = gap_end_ = 0;
    checked_at_ = t;
    cpu_ = cpu;
    slept_ = 0;
  }

  net::Nanos waited() const { return waited_; }
  net::Nanos stalled() const { return stalled_; }
  net::Nanos longest_stall() const { return longest_stall_; }

 private:
  void note_gap(net::Nanos from, net::Nanos to) {
    last_ = to;
    if (from == 0 || to - from < kNoticeable || to - from < gap_end_ - gap_begin_) return;
    gap_begin_ = from;
    gap_end_ = to;
  }
  net::Nanos within_window(net::Nanos from, net::Nanos to) const {
    return std::max<net::Nanos>(0, std::min(to, end_) - std::max(from, begin_));
  }

  bool spins_;
  net::Nanos begin_ = net::kNever;
  net::Nanos end_ = net::kNever;
  net::Nanos last_ = 0;         // reading of the clock
  net::Nanos waits_until_ = 0;  // 0: it works
  net::Nanos gap_begin_ = 0;    // the longest since the last check
  net::Nanos gap_end_ = 0;
  net::Nanos checked_at_ = 0;
  net::Nanos cpu_ = 0;
  net::Nanos slept_ = 0;  // since the last check
  net::Nanos waited_ = 0;
  net::Nanos stalled_ = 0;
  net::Nanos longest_stall_ = 0;
};

}  // namespace loadgen
