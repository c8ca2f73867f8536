// How another machine's clock stands to ours, from questions and answers: of those rounds the
// shortest says most, for its answer was given at some time within it (Cristian, "Probabilistic
// Clock Synchronization", Distributed Computing 3, 1989).
#pragma once

#include "net/clock.h"

namespace loadgen::mpi {

class ClockOffset {
 public:
  /// Asked at `asked` and answered at `answered` by our clock, when theirs was at `theirs`.
  void add(net::Nanos asked, net::Nanos theirs, net::Nanos answered) {
    const net::Nanos round = answered - asked;
    if (rounds_++ > 0 && round >= shortest_) return;
    shortest_ = round;
    offset_ = theirs - (asked + round / 2);
  }

  int rounds() const { return rounds_; }
  /// Theirs is ahead by so much,
  net::Nanos offset() const { return offset_; }
  /// give or take this much: half of the shortest round.
  net::Nanos error() const { return (shortest_ + 1) / 2; }

 private:
  int rounds_ = 0;
  net::Nanos shortest_ = 0;
  net::Nanos offset_ = 0;
};

}  // namespace loadgen::mpi
