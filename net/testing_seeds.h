// Random lives, each of which follows from a number alone: the one that fails is told by its
// number, and ECHOBENCH_SEED=N lives that one again, step by step.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <string>

namespace net::test {

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the same numbers with every compiler.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  /// From 0 to `limit` - 1.
  std::size_t below(std::size_t limit) { return next() % limit; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  /// From 1 to `most`, of every magnitude equally often.
  std::size_t some(std::size_t most) {
    std::size_t magnitudes = 1;
    while (most >> magnitudes != 0) ++magnitudes;
    return 1 + below(std::min(most, std::size_t{1} << below(magnitudes)));
  }

 private:
  std::uint64_t state_;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kEveryStepChecked = true;
#else
inline constexpr bool kEveryStepChecked = false;
#endif

/// Calls life(seed) for the seeds from 1 to `count`, or for $ECHOBENCH_SEED only, and ends with the
/// first that fails. Under a sanitizer for a tenth of them, unless ECHOBENCH_FULL=1 asks for all.
template <class Life>
void for_each_seed(std::uint64_t count, Life&& life) {
  std::uint64_t first = 1;
  const char* full = std::getenv("ECHOBENCH_FULL");
  if (kEveryStepChecked && (full == nullptr || *full != '1')) count /= 10;
  if (const char* only = std::getenv("ECHOBENCH_SEED")) {
    first = count = std::strtoull(only, nullptr, 10);
  }
  for (std::uint64_t seed = first; seed <= count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("ECHOBENCH_SEED=" + std::to_string(seed));
    try {
      life(seed);
    } catch (const std::exception& failure) {
      ADD_FAILURE() << failure.what();
    }
  }
}

}  // namespace net::test
