// --slo: how a limit is read, what a slice says of it, and that the search ends where it should.
#include "loadgen/slo.h"

#include <gtest/gtest.h>

#include <vector>

#include "cli/units.h"
#include "loadgen/testing_result.h"
#include "loadgen/verdict.h"

namespace loadgen {
namespace {

using net::kMillisecond;

TEST(ParseSlo, ReadsAPercentileAndALimit) {
  const Slo slo = parse_slo("p99<2ms");
  EXPECT_EQ(slo.name, "p99");
  EXPECT_DOUBLE_EQ(slo.quantile, 0.99);
  EXPECT_EQ(slo.limit, 2 * kMillisecond);
  EXPECT_DOUBLE_EQ(parse_slo("p99.9<100us").quantile, 0.999);
  EXPECT_DOUBLE_EQ(parse_slo("p50<1s").quantile, 0.5);
}

TEST(ParseSlo, RefusesAllElse) {
  for (const char* text :
       {"",         "p99",      "p99<",     "<2ms",     "99<2ms",   "p99>2ms",  "p99<=2ms",
        "p99 <2ms", "p99<2",    "p99<0ms",  "p<2ms",    "p49<2ms",  "p100<2ms", "p99.999<2ms",
        "pnan<2ms", "pinf<2ms", "p9e1<2ms", "p-99<2ms", "p99x<2ms", "max<2ms",  "p99<-2ms"}) {
    EXPECT_THROW(parse_slo(text), cli::BadValue) << text;
  }
}

TEST(Slo, KnowsHowManyMessagesItsPercentileNeeds) {
  for (const char* text : {"p50<1ms", "p99<1ms", "p99.9<1ms", "p99.99<1ms"}) {
    const Slo slo = parse_slo(text);
    const auto samples = static_cast<std::int64_t>(slo.samples());
    EXPECT_TRUE(microseconds(samples).supported_quantile(slo.quantile)) << text;
    EXPECT_FALSE(microseconds(samples * 3 / 4).supported_quantile(slo.quantile)) << text;
  }
}

SloSlice slice_of(const Result& result, const char* slo) {
  return judge_slice(parse_slo(slo), result, judge(result));
}

TEST(JudgeSlice, HoldsBelowTheLimit) {
  const Result result = good_result();  // p99 is 99 ms
  EXPECT_TRUE(slice_of(result, "p99<100ms").held);
  EXPECT_FALSE(slice_of(result, "p99<98ms").held);
  EXPECT_DOUBLE_EQ(slice_of(result, "p99<98ms").answered, 50'000);
}

TEST(JudgeSlice, AnInvalidRunHoldsNothing) {
  Result result = good_result();
  result.tally.corrupt = 1;
  EXPECT_FALSE(slice_of(result, "p99<1s").held);
  EXPECT_TRUE(slice_of(result, "p99<1s").invalid);
}

TEST(JudgeSlice, WithoutAFigureNothingHolds) {
  Result result = good_result();
  result.tally.latency = microseconds(500);
  EXPECT_FALSE(slice_of(result, "p99<1s").held);
}

TEST(JudgeSlice, SaysWhatWasDisturbed) {
  Result result = good_result();
  EXPECT_FALSE(slice_of(result, "p99<1s").disturbed);
  result.steal_fraction = 0.1;
  EXPECT_TRUE(slice_of(result, "p99<1s").disturbed);
}

constexpr SloSlice kHeld{.held = true};
constexpr SloSlice kMissed{};
constexpr SloSlice kDisturbed{.disturbed = true};

TEST(SloStep, TwoSlicesThatAgreeDecide) {
  EXPECT_FALSE((SloStep{1, {}}).decided());
  EXPECT_FALSE((SloStep{1, {kHeld}}).decided());
  EXPECT_FALSE((SloStep{1, {kHeld, kMissed}}).decided());
  EXPECT_TRUE((SloStep{1, {kHeld, kHeld}}).held());
  EXPECT_TRUE((SloStep{1, {kHeld, kMissed, kHeld}}).held());
  EXPECT_TRUE((SloStep{1, {kMissed, kHeld, kMissed}}).decided());
  EXPECT_FALSE((SloStep{1, {kMissed, kHeld, kMissed}}).held());
}

TEST(SloStep, WhatWasDisturbedIsForgivenTwice) {
  EXPECT_FALSE((SloStep{1, {kDisturbed, kDisturbed}}).decided());
  EXPECT_TRUE((SloStep{1, {kDisturbed, kDisturbed, kHeld, kHeld}}).held());
  EXPECT_TRUE((SloStep{1, {kDisturbed, kDisturbed, kDisturbed, kDisturbed}}).decided());
}

/// The rates that are tried where those below `limit` hold.
std::vector<std::uint64_t> tried(RateSearch& search, std::uint64_t limit) {
  std::vector<std::uint64_t> rates;
  while (const auto rate = search.next()) {
    rates.push_back(*rate);
    search.tell(*rate < limit);
    if (rates.size() > 100) break;
  }
  return rates;
}

TEST(RateSearch, FindsTheLimitToFivePercent) {
  for (const std::uint64_t limit : {60U, 100U, 1000U, 1001U, 12'345U, 1'999'999U}) {
    RateSearch search(1000, 10);
    EXPECT_LE(tried(search, limit).size(), 16U) << limit;
    ASSERT_TRUE(search.held() && search.missed()) << limit;
    EXPECT_LT(*search.held(), limit);
    EXPECT_GE(*search.missed(), limit);
    EXPECT_LE(static_cast<double>(*search.missed()),
              std::max(1.05 * static_cast<double>(*search.held()),
                       static_cast<double>(*search.held() + 1)));
  }
}

TEST(RateSearch, GivesUpAtTheLowestRate) {
  RateSearch search(1000, 50);
  EXPECT_EQ(tried(search, 0), (std::vector<std::uint64_t>{1000, 250, 62, 50}));
  EXPECT_FALSE(search.held());
  EXPECT_EQ(search.missed(), 50U);
}

TEST(RateSearch, EndsWhereEverythingHolds) {
  RateSearch search(1000, 10);
  EXPECT_EQ(tried(search, ~std::uint64_t{0}).back(), RateSearch::kHighest);
  EXPECT_EQ(search.held(), RateSearch::kHighest);
  EXPECT_FALSE(search.missed());
}

TEST(RateSearch, BeginsNoLowerThanItMayGo) { EXPECT_EQ(RateSearch(1, 55).next(), 55U); }

TEST(SloText, ShowsEachSliceAndTheInterval) {
  SloReport report{.slo = parse_slo("p99<2ms"), .steps = {}, .held = 131'000, .missed = 137'000};
  SloStep step{.rate = 137'000, .slices = {}};
  step.slices.push_back({.figure = 3'000'000});
  step.slices.push_back({.answered = 120'000, .invalid = true, .disturbed = true});
  report.steps.push_back(step);
  EXPECT_EQ(slo_heading(report.slo),
            "The highest rate at which p99 < 2.00 ms\n\n"
            "      rate  held     p99 of each slice\n");
  EXPECT_EQ(slo_line(step), "   137 k/s  0 of 2   3.00 ms  - (at 120 k/s) (disturbed)\n");
  EXPECT_EQ(slo_conclusion(report),
            "\np99 < 2.00 ms holds up to a rate between 131 k/s and 137 k/s.\n"
            "1 of 2 slices were disturbed by what else runs here.\n");
}

TEST(SloText, SaysWhereThereIsNoInterval) {
  SloReport report{.slo = parse_slo("p99<2ms"), .steps = {}, .held = {}, .missed = 50};
  EXPECT_NE(slo_conclusion(report).find("does not hold at 50"), std::string::npos);
  report.held = RateSearch::kHighest;
  report.missed.reset();
  EXPECT_NE(slo_conclusion(report).find("and more"), std::string::npos);
  report.held.reset();
  EXPECT_NE(slo_conclusion(report).find("No rate"), std::string::npos);
}

}  // namespace
}  // namespace loadgen
