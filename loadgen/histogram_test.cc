// The histogram against the truth: the same values in a sorted array.
#include "loadgen/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace loadgen {
namespace {

using Values = std::vector<std::int64_t>;

Histogram recorded(const Values& values) {
  Histogram histogram;
  for (const std::int64_t ns : values) histogram.record(ns);
  return histogram;
}

void expect_same(const Histogram& a, const Histogram& b) {
  EXPECT_EQ(a.count(), b.count());
  EXPECT_EQ(a.min(), b.min());
  EXPECT_EQ(a.max(), b.max());
  EXPECT_EQ(a.mean(), b.mean());
  EXPECT_EQ(a.saturated(), b.saturated());
  for (std::size_t i = 0; i < Histogram::kCountsLength; ++i) {
    ASSERT_EQ(a.count_at(i), b.count_at(i)) << "bucket " << i;
  }
}

TEST(HistogramLayout, BucketsAdjoinAndAreNarrow) {
  std::int64_t next = 0;
  for (std::size_t i = 0; i < Histogram::kCountsLength; ++i) {
    const std::int64_t lowest = Histogram::lowest_of(i);
    const std::int64_t highest = Histogram::highest_of(i);
    ASSERT_EQ(lowest, next);
    ASSERT_LE((highest - lowest) * 1024, lowest);
    ASSERT_EQ(Histogram::index_of(lowest), i);
    ASSERT_EQ(Histogram::index_of(highest), i);
    next = highest + 1;
  }
}

// HdrHistogram 2.1.11 (Java), new Histogram(1, 3600000000000L, 3): an array of 33,792 counts, in
// which 1 h has this place.
TEST(HistogramLayout, IsThatOfHdrHistogram) {
  EXPECT_EQ(Histogram::kCountsLength, 33'792u);
  EXPECT_EQ(Histogram::index_of(2'047), 2'047u);
  EXPECT_EQ(Histogram::index_of(2'049), 2'048u);
  EXPECT_EQ(Histogram::index_of(4'096), 3'072u);
  EXPECT_EQ(Histogram::index_of(Histogram::kHighest), 33'420u);
}

// --- quantiles of a million values of many shapes

struct Shape {
  std::string name;
  std::function<std::int64_t(std::mt19937_64&, std::int64_t i)> value;
};

class HistogramQuantile : public testing::TestWithParam<Shape> {};

TEST_P(HistogramQuantile, IsWithinOneThousandthOfTheSortedArray) {
  constexpr std::int64_t kCount = 1'000'000;
  constexpr std::int64_t kSteps = 20'000;
  std::mt19937_64 random(20240229);
  Values values;
  for (std::int64_t i = 0; i < kCount; ++i) values.push_back(GetParam().value(random, i));
  const Histogram histogram = recorded(values);
  std::sort(values.begin(), values.end());

  ASSERT_EQ(histogram.count(), kCount);
  EXPECT_EQ(histogram.min(), values.front());
  EXPECT_EQ(histogram.max(), values.back());
  for (std::int64_t step = 0; step <= kSteps; ++step) {
    const std::int64_t rank = std::max(std::int64_t{1}, (step * kCount + kSteps - 1) / kSteps);
    const std::int64_t exact = values[static_cast<std::size_t>(rank - 1)];
    const double q = static_cast<double>(step) / kSteps;
    const std::int64_t got = histogram.quantile(q);
    ASSERT_GE(got, exact) << "q = " << q;
    ASSERT_LE(got, exact + exact / 1000) << "q = " << q;
    ASSERT_LE(got, values.back()) << "q = " << q;
  }
}

TEST_P(HistogramQuantile, MeanIsExact) {
  std::mt19937_64 random(42);
  Histogram histogram;
  std::int64_t sum = 0;
  constexpr std::int64_t kCount = 100'000;
  for (std::int64_t i = 0; i < kCount; ++i) {
    const std::int64_t ns = GetParam().value(random, i);
    histogram.record(ns);
    sum += ns;
  }
  EXPECT_EQ(histogram.mean(), static_cast<double>(sum) / static_cast<double>(kCount));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, HistogramQuantile,
    testing::Values(
        Shape{"Uniform",
              [](auto& random, auto) { return static_cast<std::int64_t>(random() >> 34); }},
        Shape{"Exponential",
              [](auto& random, auto) {
                return static_cast<std::int64_t>(std::exponential_distribution(1e-5)(random));
              }},
        Shape{"LogNormal",
              [](auto& random, auto) {
                return std::min(
                    static_cast<std::int64_t>(std::lognormal_distribution(11.0, 3.0)(random)),
                    Histogram::kHighest);
              }},
        Shape{"Bimodal",
              [](auto& random, auto i) {
                const auto spread = static_cast<std::int64_t>(random() % 1000);
                return i % 10 == 0 ? 40'000'000 + spread : 9'000 + spread;
              }},
        Shape{"Constant", [](auto&, auto) { return std::int64_t{123'456'789}; }},
        Shape{"Rising", [](auto&, auto i) { return i; }},
        Shape{"Falling", [](auto&, auto i) { return 3'000'000 - i; }},
        Shape{"PowersOfTwo",
              [](auto&, auto i) {
                return std::max(std::int64_t{0}, (std::int64_t{1} << i % 42) + i % 5 - 2);
              }}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(HistogramRank, IsTheCeilingInSpiteOfBinaryFractions) {
  for (std::int64_t count : {1, 3, 7, 10, 100, 1000, 2000}) {
    Histogram histogram;
    for (std::int64_t ns = 1; ns <= count; ++ns) histogram.record(ns);
    for (std::int64_t i = 0; i <= 10'000; ++i) {
      const std::int64_t rank = std::max(std::int64_t{1}, (i * count + 9'999) / 10'000);
      ASSERT_EQ(histogram.quantile(static_cast<double>(i) / 1e4), rank) << i << " of " << count;
    }
  }
}

TEST(HistogramRank, IsClampedOutsideZeroToOne) {
  const Histogram histogram = recorded({1, 2, 3});
  EXPECT_EQ(histogram.quantile(-1.0), 1);
  EXPECT_EQ(histogram.quantile(std::numeric_limits<double>::quiet_NaN()), 1);
  EXPECT_EQ(histogram.quantile(2.0), 3);
}

TEST(HistogramRank, HoldsAtTheLargestCount) {
  Histogram histogram;
  histogram.record(7, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(histogram.quantile(std::nextafter(1.0, 0.0)), 7);
  EXPECT_EQ(histogram.quantile(0.5), 7);
}

// --- no sample, no number

TEST(HistogramSupport, NeedsTenSamplesAbove) {
  const std::pair<double, std::int64_t> needs[] = {
      {0.5, 20}, {0.9, 100}, {0.99, 1'000}, {0.999, 10'000}, {0.9999, 100'000}};
  for (const auto& [q, needed] : needs) {
    Histogram histogram;
    histogram.record(1'000, needed - 1);
    EXPECT_EQ(histogram.supported_quantile(q), std::nullopt) << q;
    histogram.record(1'000);
    EXPECT_EQ(histogram.supported_quantile(q), 1'000) << q;
  }
}

TEST(HistogramSupport, NothingSupportsTheMaximumOrAnythingOfAnEmptyOne) {
  Histogram histogram;
  EXPECT_EQ(histogram.supported_quantile(0.0), std::nullopt);
  EXPECT_EQ(histogram.supported_quantile(0.5), std::nullopt);
  histogram.record(5, 1'000'000);
  EXPECT_EQ(histogram.supported_quantile(1.0), std::nullopt);
}

// --- values at and beyond the edges

TEST(Histogram, EmptyIsZeroEverywhere) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.max(), 0);
  EXPECT_EQ(histogram.mean(), 0.0);
  EXPECT_EQ(histogram.quantile(0.5), 0);
  EXPECT_EQ(histogram.used_length(), 0u);
  histogram.for_each([](const auto&) { ADD_FAILURE() << "a bucket that is not empty"; });
}

TEST(Histogram, NegativeCountsAsZero) {
  const Histogram histogram = recorded({-1, std::numeric_limits<std::int64_t>::min(), 0, 10, -1});
  EXPECT_EQ(histogram.count_at(0), 4);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.max(), 10);
  EXPECT_EQ(histogram.mean(), 2.0);
  EXPECT_EQ(histogram.saturated(), 0);
}

TEST(Histogram, AboveOneHourCountsAsOneHourAndIsSaturated) {
  constexpr std::int64_t kHour = Histogram::kHighest;
  Histogram histogram =
      recorded({kHour, kHour + 1, std::numeric_limits<std::int64_t>::max(), kHour + 1, kHour - 1});
  histogram.record(kHour + 1, 2);
  EXPECT_EQ(histogram.saturated(), 5);
  EXPECT_EQ(histogram.count_at(Histogram::index_of(kHour)), 7);
  EXPECT_EQ(histogram.min(), kHour - 1);
  EXPECT_EQ(histogram.max(), kHour);
  EXPECT_EQ(histogram.quantile(1.0), kHour);
}

TEST(Histogram, RecordsManyAtOnce) {
  Histogram one_by_one;
  Histogram at_once;
  for (const std::int64_t ns : {-5L, 0L, 77L, 5'000L, 4'000'000'000'000L, 3L}) {
    for (int i = 0; i < 9; ++i) one_by_one.record(ns);
    at_once.record(ns, 9);
  }
  at_once.record(8, 0);
  at_once.record(8, -3);
  expect_same(at_once, one_by_one);
}

TEST(Histogram, SumExceeds64Bits) {
  Histogram histogram;
  histogram.record(Histogram::kHighest, 6'000'000);
  for (int i = 0; i < 6'000'000; ++i) histogram.record(Histogram::kHighest);
  EXPECT_EQ(histogram.mean(), static_cast<double>(Histogram::kHighest));
}

// --- as a whole

Values random_values(std::uint64_t seed, int count) {
  std::mt19937_64 random(seed);
  std::lognormal_distribution latency(12.0, 4.0);
  Values values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<std::int64_t>(latency(random)));
  return values;
}

TEST(Histogram, MergeEqualsRecordingAllIntoOne) {
  Histogram merged;
  Histogram whole;
  for (std::uint64_t part = 0; part < 5; ++part) {
    const Values values = random_values(part, 20'000);
    merged.add(recorded(values));
    merged.add(Histogram());
    for (const std::int64_t ns : values) whole.record(ns);
  }
  merged.record(Histogram::kHighest + 1);
  whole.record(Histogram::kHighest + 1);
  Histogram last;
  last.add(merged);
  expect_same(last, whole);
}

TEST(Histogram, MergesWithItself) {
  Histogram histogram = recorded({1, 2, 3'000'000});
  histogram.add(histogram);
  expect_same(histogram, recorded({1, 1, 2, 2, 3'000'000, 3'000'000}));
}

TEST(Histogram, ClearedIsAsNew) {
  Histogram histogram = recorded(random_values(1, 10'000));
  histogram.record(0);
  histogram.record(Histogram::kHighest + 1);
  histogram.clear();
  expect_same(histogram, Histogram());
  histogram.clear();
  histogram.record(500);
  expect_same(histogram, recorded({500}));
}

TEST(Histogram, CopiesAndMoves) {
  const Histogram original = recorded(random_values(2, 10'000));
  Histogram copy = original;
  Histogram moved = std::move(copy);
  expect_same(moved, original);
  copy = moved;
  moved.record(1);
  expect_same(copy, original);
  moved = std::move(copy);
  expect_same(moved, original);
}

TEST(Histogram, VisitsTheBucketsThatAreNotEmpty) {
  const Histogram histogram = recorded({5, 2'049, 5, 4'100});
  std::vector<std::int64_t> seen;
  histogram.for_each([&](const Histogram::Bucket& bucket) {
    EXPECT_EQ(bucket.index, Histogram::index_of(bucket.lowest));
    seen.insert(seen.end(), {bucket.lowest, bucket.highest, bucket.count});
  });
  EXPECT_EQ(seen, (std::vector<std::int64_t>{5, 5, 2, 2'048, 2'049, 1, 4'100, 4'103, 1}));
  EXPECT_EQ(histogram.used_length(), Histogram::index_of(4'100) + 1);
}

TEST(Histogram, MadeOfCountsKnowsTheBucketsButNotTheValues) {
  std::vector<std::int64_t> counts(Histogram::kCountsLength);
  counts[Histogram::index_of(1'000'000)] = 3;
  counts[2'049] = 1;
  const Histogram histogram = Histogram::from_counts(counts);
  EXPECT_EQ(histogram.count(), 4);
  EXPECT_EQ(histogram.min(), 2'050);
  EXPECT_EQ(histogram.max(), 1'000'447);
  EXPECT_EQ(histogram.quantile(0.5), 1'000'447);
  EXPECT_NEAR(histogram.mean(), (2'050 + 3 * 1'000'191) / 4.0, 1.0);
  EXPECT_EQ(histogram.saturated(), 0);
}

TEST(Histogram, MadeOfCountsBeyondOneHourIsSaturated) {
  std::vector<std::int64_t> counts(Histogram::kCountsLength);
  counts[Histogram::index_of(Histogram::kHighest)] = 1;
  counts[Histogram::index_of(Histogram::kHighest) + 1] = 3;
  counts.back() = 4;
  const Histogram histogram = Histogram::from_counts(counts);
  EXPECT_EQ(histogram.saturated(), 7);
  EXPECT_EQ(histogram.count_at(Histogram::index_of(Histogram::kHighest)), 8);
  EXPECT_EQ(histogram.max(), Histogram::kHighest);
}

TEST(Histogram, WhatNeverEndedIsLongerThanAllElse) {
  Histogram histogram;
  for (std::int64_t i = 1; i <= 980; ++i) histogram.record(i);
  // 980 samples and 20 infinite ones: from rank 981 on there is no number.
  EXPECT_EQ(histogram.supported_quantile(0.50, 20), 500);
  EXPECT_EQ(histogram.supported_quantile(0.98, 20), 980);
  EXPECT_EQ(histogram.supported_quantile(0.981, 20), std::nullopt);
  EXPECT_TRUE(histogram.is_infinite(0.981, 20));
  EXPECT_FALSE(histogram.is_infinite(0.98, 20));
  EXPECT_EQ(histogram.supported_quantile(0.98, 0), 961);
  EXPECT_EQ(histogram.supported_quantile(0.99, 0), std::nullopt) << "too few, not infinite";
  EXPECT_FALSE(histogram.is_infinite(0.99, 0));
  EXPECT_TRUE(Histogram().is_infinite(0.5, 1));
  EXPECT_FALSE(Histogram().is_infinite(0.5, 0));
  EXPECT_EQ(Histogram().supported_quantile(0.5, 100), std::nullopt);
}

TEST(Histogram, MadeOfCountsAndWhatTheyDoNotTellIsTheSame) {
  Histogram histogram;
  for (const std::int64_t ns : {2'050, 1'000'000, 1'000'001}) histogram.record(ns);
  histogram.record(Histogram::kHighest + 5);
  histogram.record(3'000'000'000'000, 10'000'000'000);  // the sum takes more than 64 bits
  std::vector<std::int64_t> counts;
  for (std::size_t i = 0; i < Histogram::kCountsLength; ++i)
    counts.push_back(histogram.count_at(i));
  Histogram copy = Histogram::from_counts(counts);
  EXPECT_NE(copy.mean(), histogram.mean());
  copy.set_exact(histogram.exact());
  EXPECT_EQ(copy.min(), 2'050);
  EXPECT_EQ(copy.max(), Histogram::kHighest);
  EXPECT_EQ(copy.mean(), histogram.mean());
  EXPECT_EQ(copy.saturated(), 1);
  EXPECT_EQ(copy.count(), histogram.count());
}

TEST(Histogram, RefusesExtremesThatItsCountsDoNotHave) {
  Histogram histogram;
  histogram.record(5'000);
  for (const auto& [min, max] : {std::pair(4'000, 5'000), {5'000, 6'000}, {5'001, 5'000}}) {
    EXPECT_THROW(histogram.set_exact({.min = min, .max = max}), std::invalid_argument);
  }
  EXPECT_EQ(histogram.min(), 5'000);
  Histogram empty;
  empty.set_exact({.min = 1, .max = 2});
  EXPECT_EQ(empty.max(), 0);
}

}  // namespace
}  // namespace loadgen
