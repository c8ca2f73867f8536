// The one clock of the project: monotonic nanoseconds, so that a stamp taken in an engine and a
// deadline set by its caller can be compared, and a step of the wall clock changes nothing.
#pragma once

#include <cstdint>
#include <ctime>
#include <limits>

namespace net {

using Nanos = std::int64_t;

inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;

/// A deadline that never comes.
inline constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

/// CLOCK_MONOTONIC through the vDSO, about 30 ns a call; the same clock as
/// std::chrono::steady_clock.
inline Nanos now() noexcept {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

}  // namespace net
