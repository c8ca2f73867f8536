// The latency histogram: one sample per message goes in, quantiles come out with three significant
// digits, and recording costs a few nanoseconds and no allocation. The buckets are laid out as in
// HdrHistogram, so that hdr_codec.h can hand them to every viewer that reads that format.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace loadgen {

/// Counts of values in nanoseconds, 0 ns .. 1 h.
///
/// Layout (HdrHistogram's AbstractHistogram, unit magnitude 0, 3 significant digits): values below
/// 2,048 have a bucket each; above, every power of two is cut into 1,024 equal buckets, so a bucket
/// is narrower than 1/1024 of any value in it (0.098 %).
///
/// Not thread-safe: each worker has its own, and they are merged with add() after the join. The
/// counts (270,336 bytes) are allocated in the constructor, nothing allocates later except a copy.
/// A moved-from histogram can only be destroyed or assigned to. On a cache line of its own, so that
/// neighbours in an array do not share what record() writes.
class alignas(64) Histogram {
 public:
  /// The longest value that is told apart: 1 h. Longer ones are recorded as this one.
  static constexpr std::int64_t kHighest = 3'600'000'000'000;
  static constexpr int kSignificantDigits = 3;
  /// HdrHistogram's counts array: 32 powers of two to cover 1 h and one more half at the bottom.
  static constexpr std::size_t kCountsLength = 33 * 1024;
  /// A quantile is supported by the sample when at least so many samples lie above it.
  static constexpr std::int64_t kSamplesAbove = 10;

  struct Bucket {
    std::size_t index;
    std::int64_t lowest;   // the smallest value that falls into it, ns
    std::int64_t highest;  // the largest one, ns
    std::int64_t count;
  };

  /// What the counts do not tell of the values that were recorded.
  struct Exact {
    std::int64_t min = 0;
    std::int64_t max = 0;
    std::uint64_t sum_high = 0;  // of 128 bits
    std::uint64_t sum_low = 0;
    std::int64_t saturated = 0;
  };

  Histogram() : counts_(kCountsLength) {}

  /// The histogram that has these counts by bucket index (later buckets are empty). The recorded
  /// values themselves are lost, so min() is the lowest value of the first bucket that is not
  /// empty, max() the highest of the last, mean() is made of the buckets' middles. Counts in
  /// buckets beyond that of 1 h move into it and are saturated(). Requires: at most kCountsLength
  /// counts, none negative, the total within std::int64_t.
  static Histogram from_counts(const std::vector<std::int64_t>& counts);

  /// With exact(), a histogram travels to another process without loss. Throws
  /// std::invalid_argument where its extremes are not in the outermost buckets that have counts.
  Exact exact() const noexcept;
  void set_exact(const Exact& exact);

  /// Counts one value. A negative one (clocks never give one, subtractions may) counts as 0; one
  /// above 1 h counts as 1 h, and in saturated().
  void record(std::int64_t ns) noexcept {
    // One comparison for the range and for both extremes: see width_.
    if (static_cast<std::uint64_t>(ns) - lowest_ >= width_) [[unlikely]]
      return record_outside(ns);
    ++counts_[index_of(ns)];
    ++count_;
    sum_ += static_cast<std::uint64_t>(ns);
  }

  /// Counts the value `count` times; a count below 1 changes nothing.
  void record(std::int64_t ns, std::int64_t count) noexcept;

  /// Merges: the result is as if every value of `other` had been recorded here too.
  void add(const Histogram& other) noexcept;

  void clear() noexcept;

  std::int64_t count() const noexcept { return count_; }
  /// Values that were above 1 h; where this is not 0, the mean and upper quantiles are too low.
  std::int64_t saturated() const noexcept { return saturated_; }

  /// The exact extremes of the recorded values, within 0 .. 1 h; 0 where nothing was recorded.
  std::int64_t min() const noexcept { return static_cast<std::int64_t>(lowest_); }
  std::int64_t max() const noexcept {
    return count_ == 0 ? 0 : static_cast<std::int64_t>(lowest_ + width_ - 1);
  }

  /// From the exact 128-bit sum of the values, not from the buckets; 0 where nothing was recorded.
  double mean() const noexcept;

  /// The value that the fraction `q` of the samples does not exceed, as HdrHistogram defines it: of
  /// the bucket that holds the sample of rank ceil(q * count()), at least 1, the highest value, and
  /// never more than max(). Within 0.1 % above that sample. `q` is clamped to 0 .. 1; 0 where
  /// nothing was recorded.
  std::int64_t quantile(double q) const noexcept;

  /// quantile(q), or nothing where fewer than kSamplesAbove samples have a higher rank. That one
  /// rule holds for every q: p50 needs 20 samples, p90 100, p99 1,000, p99.9 10,000. Samples are
  /// told apart by rank, not by value: equal values support a quantile too.
  ///
  /// With `infinite`: as if so many more samples lay above all others. Nothing where the rank falls
  /// among them.
  std::optional<std::int64_t> supported_quantile(double q,
                                                 std::int64_t infinite = 0) const noexcept;

  /// Whether the sample of rank q is one of the `infinite` that lie above all others.
  bool is_infinite(double q, std::int64_t infinite) const noexcept {
    return infinite > 0 && rank(q, count_ + infinite) > count_;
  }

  /// Requires index < kCountsLength.
  std::int64_t count_at(std::size_t index) const noexcept { return counts_[index]; }

  /// How many leading buckets reach to the last one that is not empty; 0 where all are empty.
  std::size_t used_length() const noexcept { return count_ == 0 ? 0 : index_of(max()) + 1; }

  /// Calls visit(Bucket) for each bucket that is not empty, by rising values.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t i = index_of(min()); i < used_length(); ++i) {
      if (counts_[i] != 0) visit(Bucket{i, lowest_of(i), highest_of(i), counts_[i]});
    }
  }

  /// The bucket of a value; requires 0 <= ns <= kHighest.
  static constexpr std::size_t index_of(std::int64_t ns) noexcept {
    const auto value = static_cast<std::uint64_t>(ns);
    // How often the value must be halved to fall below 2,048.
    const auto shift = static_cast<unsigned>(53 - std::countl_zero(value | 2047));
    return (std::size_t{shift} << 10) + static_cast<std::size_t>(value >> shift);
  }

  /// The smallest and the largest value of a bucket; require index < kCountsLength.
  static constexpr std::int64_t lowest_of(std::size_t index) noexcept {
    const std::size_t shift = shift_of(index);
    return static_cast<std::int64_t>((index - (shift << 10)) << shift);
  }
  static constexpr std::int64_t highest_of(std::size_t index) noexcept {
    return lowest_of(index) + (std::int64_t{1} << shift_of(index)) - 1;
  }

 private:
  __extension__ typedef unsigned __int128 Uint128;

  static constexpr std::size_t shift_of(std::size_t index) noexcept {
    return index < 2048 ? 0 : (index >> 10) - 1;
  }

  void record_outside(std::int64_t ns) noexcept;
  void widen_to(std::int64_t lowest, std::int64_t highest) noexcept;
  static std::int64_t rank(double q, std::int64_t count) noexcept;
  std::int64_t value_at_rank(std::int64_t rank) const noexcept;

  std::vector<std::int64_t> counts_;
  // The recorded values span [lowest_, lowest_ + width_), which is [0, 0) while there is none. A
  // value outside, be it a new extreme, negative or too long, is rare and takes the slow path.
  std::uint64_t lowest_ = 0;
  std::uint64_t width_ = 0;
  std::int64_t count_ = 0;
  // 64 bits of nanoseconds are 584 years: 10,000 connections with 16 messages each in flight add up
  // to that in 32 hours.
  Uint128 sum_ = 0;
  std::int64_t saturated_ = 0;
};

static_assert(Histogram::index_of(0) == 0 && Histogram::index_of(2048) == 2048);
static_assert(Histogram::index_of(Histogram::kHighest) < Histogram::kCountsLength);

}  // namespace loadgen
