// Whose turn it is: the connections that can take work, the one that has waited longest first. Work
// that goes to them in this order is spread evenly, and none that is slow holds up the others.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace loadgen {

/// A queue of connection slots in which each stands at most once. Allocates in make_room() only.
class Turns {
 public:
  /// For slots below `connections`.
  void make_room(std::size_t connections) {
    if (ring_.size() >= connections) return;
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(first_), ring_.end());
    first_ = 0;
    ring_.resize(connections);
    waits_.resize(connections);
  }

  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }

  /// Does nothing where it stands in the queue already.
  void push(std::uint32_t slot) {
    if (waits_[slot]) return;
    waits_[slot] = true;
    std::size_t end = first_ + count_++;
    if (end >= ring_.size()) end -= ring_.size();
    ring_[end] = slot;
  }

  /// Requires that the queue is not empty.
  std::uint32_t pop() {
    const std::uint32_t slot = ring_[first_];
    if (++first_ == ring_.size()) first_ = 0;
    --count_;
    waits_[slot] = false;
    return slot;
  }

 private:
  std::vector<std::uint32_t> ring_;
  std::vector<char> waits_;  // by slot
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace loadgen
