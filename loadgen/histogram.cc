// What the histogram does away from the hot path: extremes, merging and reading.
#include "loadgen/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace loadgen {

Histogram Histogram::from_counts(const std::vector<std::int64_t>& counts) {
  constexpr std::size_t kLast = index_of(kHighest);
  Histogram result;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const std::size_t index = std::min(i, kLast);
    const std::int64_t lowest = lowest_of(index);
    const std::int64_t highest = std::min(highest_of(index), kHighest);
    const auto count = static_cast<std::uint64_t>(counts[i]);
    result.widen_to(lowest, highest);
    result.counts_[index] += counts[i];
    result.count_ += counts[i];
    result.sum_ += Uint128{static_cast<std::uint64_t>(lowest + (highest - lowest) / 2)} * count;
    if (i > kLast) result.saturated_ += counts[i];
  }
  return result;
}

Histogram::Exact Histogram::exact() const noexcept {
  return {.min = min(),
          .max = max(),
          .sum_high = static_cast<std::uint64_t>(sum_ >> 64),
          .sum_low = static_cast<std::uint64_t>(sum_),
          .saturated = saturated_};
}

void Histogram::set_exact(const Exact& exact) {
  if (count_ == 0) return;
  const bool ordered = 0 <= exact.min && exact.min <= exact.max && exact.max <= kHighest;
  if (!ordered || index_of(exact.min) != index_of(min()) ||
      index_of(exact.max) != index_of(max())) {
    throw std::invalid_argument("a histogram's extremes are not in its outermost buckets");
  }
  lowest_ = static_cast<std::uint64_t>(exact.min);
  width_ = static_cast<std::uint64_t>(exact.max - exact.min + 1);
  sum_ = Uint128{exact.sum_high} << 64 | exact.sum_low;
  saturated_ = exact.saturated;
}

void Histogram::record_outside(std::int64_t ns) noexcept { record(ns, 1); }

void Histogram::record(std::int64_t ns, std::int64_t count) noexcept {
  if (count < 1) return;
  if (ns > kHighest) saturated_ += count;
  const std::int64_t value = std::clamp(ns, std::int64_t{0}, kHighest);
  widen_to(value, value);
  counts_[index_of(value)] += count;
  count_ += count;
  sum_ += Uint128{static_cast<std::uint64_t>(value)} * static_cast<std::uint64_t>(count);
}

void Histogram::widen_to(std::int64_t lowest, std::int64_t highest) noexcept {
  if (count_ != 0) {
    lowest = std::min(lowest, min());
    highest = std::max(highest, max());
  }
  lowest_ = static_cast<std::uint64_t>(lowest);
  width_ = static_cast<std::uint64_t>(highest - lowest + 1);
}

void Histogram::add(const Histogram& other) noexcept {
  if (other.count_ == 0) return;
  const std::size_t end = other.used_length();
  for (std::size_t i = index_of(other.min()); i < end; ++i) counts_[i] += other.counts_[i];
  widen_to(other.min(), other.max());
  count_ += other.count_;
  sum_ += other.sum_;
  saturated_ += other.saturated_;
}

void Histogram::clear() noexcept {
  const auto counts = counts_.begin();
  std::fill(counts + static_cast<std::ptrdiff_t>(index_of(min())),
            counts + static_cast<std::ptrdiff_t>(used_length()), 0);
  lowest_ = 0;
  width_ = 0;
  count_ = 0;
  sum_ = 0;
  saturated_ = 0;
}

double Histogram::mean() const noexcept {
  return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

std::int64_t Histogram::quantile(double q) const noexcept {
  return count_ == 0 ? 0 : value_at_rank(rank(q, count_));
}

std::optional<std::int64_t> Histogram::supported_quantile(double q,
                                                          std::int64_t infinite) const noexcept {
  if (count_ == 0) return std::nullopt;
  const std::int64_t at = rank(q, count_ + infinite);
  if (at > count_ || count_ + infinite - at < kSamplesAbove) return std::nullopt;
  return value_at_rank(at);
}

std::int64_t Histogram::rank(double q, std::int64_t count) noexcept {
  if (!(q > 0.0)) return 1;
  if (q >= 1.0) return count;
  // 0.07 * 100 is 7.000000000000001 in binary: a product that is whole but for its rounding error
  // must not be rounded up to the next rank.
  const double exact = q * static_cast<double>(count);
  const double whole = std::round(exact);
  const double error = 2 * std::numeric_limits<double>::epsilon() * exact;
  const double rounded = std::abs(exact - whole) <= error ? whole : std::ceil(exact);
  return std::clamp(static_cast<std::int64_t>(rounded), std::int64_t{1}, count);
}

std::int64_t Histogram::value_at_rank(std::int64_t rank) const noexcept {
  std::size_t index = index_of(min());
  for (std::int64_t seen = counts_[index]; seen < rank; seen += counts_[index]) ++index;
  return std::min(highest_of(index), max());
}

}  // namespace loadgen
