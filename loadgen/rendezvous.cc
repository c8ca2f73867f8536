#include "loadgen/rendezvous.h"

#include <algorithm>
#include <chrono>

namespace loadgen {

Phase Rendezvous::arrive() {
  std::unique_lock lock(mutex_);
  const std::uint64_t number = phase_number_;
  ++here_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return phase_number_ != number; });
  return phase_;
}

void Rendezvous::leave() {
  const std::lock_guard lock(mutex_);
  --workers_;
  changed_.notify_all();
}

bool Rendezvous::all_here(net::Nanos deadline) {
  std::unique_lock lock(mutex_);
  const std::chrono::nanoseconds left(std::max<net::Nanos>(0, deadline - net::now()));
  return changed_.wait_for(lock, left, [&] { return here_ == workers_; });
}

void Rendezvous::release(const Phase& phase) {
  const std::lock_guard lock(mutex_);
  phase_ = phase;
  here_ = 0;
  ++phase_number_;
  changed_.notify_all();
}

}  // namespace loadgen
