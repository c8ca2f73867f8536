// The window in ten equal parts: whether what was measured was one thing, or changed on the way.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "net/clock.h"

namespace loadgen {

struct Tenths {
  static constexpr std::size_t kParts = 10;
  struct Part {
    std::uint64_t messages = 0;  // answered in it
    std::int64_t latency = 0;    // their sum, ns

    double mean_latency() const {
      return messages == 0 ? 0 : static_cast<double>(latency) / static_cast<double>(messages);
    }
  };
  std::array<Part, kParts> parts;

  void add(const Tenths& other) {
    for (std::size_t i = 0; i < kParts; ++i) {
      parts[i].messages += other.parts[i].messages;
      parts[i].latency += other.parts[i].latency;
    }
  }
};

/// Fills them in, in order of time. A window without an end has none.
class TenthsClock {
 public:
  void window(net::Nanos begin, net::Nanos end) {
    index_ = 0;
    length_ = end == net::kNever ? 0 : (end - begin) / static_cast<net::Nanos>(Tenths::kParts);
    next_ = begin + length_;
  }

  /// A message was answered at `t`, which lies in the window and not before an earlier one's.
  void record(Tenths& tenths, net::Nanos t, net::Nanos latency) {
    if (length_ == 0) return;
    while (t >= next_ && index_ + 1 < Tenths::kParts) {
      ++index_;
      next_ += length_;
    }
    Tenths::Part& part = tenths.parts[index_];
    ++part.messages;
    part.latency += latency;
  }

 private:
  std::size_t index_ = 0;
  net::Nanos length_ = 0;
  net::Nanos next_ = 0;
};

}  // namespace loadgen
