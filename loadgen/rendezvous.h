// Where the workers and the main thread meet between phases: all have connected, all have warmed
// up. Nothing else is shared while a run goes on but the interval log and the call to stop.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "net/clock.h"

namespace loadgen {

/// What the workers do next. A closed loop sends from the moment they are
/// released; times of net::now().
struct Phase {
  static constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 40;

  bool run = false;                     // false: there is nothing more to do
  net::Nanos start = 0;                 // an open loop's schedule begins
  net::Nanos begin = net::kNever;       // what is sent before is warm-up; the window begins
  net::Nanos end = net::kNever;         // the window ends and sending stops
  std::uint64_t messages = kUnlimited;  // sending stops after so many, over all connections
};

class Rendezvous {
 public:
  explicit Rendezvous(std::size_t workers) : workers_(workers) {}

  /// A worker arrives and waits for the next phase. An ended worker is not waited for any more.
  Phase arrive();
  void leave();

  /// The main thread waits until `deadline` for all workers that have not left.
  bool all_here(net::Nanos deadline);
  void release(const Phase& phase);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t workers_;
  std::size_t here_ = 0;
  std::uint64_t phase_number_ = 0;
  Phase phase_;
};

}  // namespace loadgen
