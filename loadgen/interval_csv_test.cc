// The table of intervals, as a spreadsheet gets it.
#include "loadgen/interval_csv.h"

#include <gtest/gtest.h>

namespace loadgen {
namespace {

constexpr const char* kNames = "t_s,messages,messages_per_s,p50_ns,p99_ns,max_ns\n";

TEST(IntervalCsv, OfNothingHasTheNames) { EXPECT_EQ(to_csv({}), kNames); }

TEST(IntervalCsv, HasALinePerInterval) {
  const std::vector<Interval> intervals = {
      {.end = net::kSecond, .messages = 700, .p50 = 1, .p99 = 20, .max = 300},
      {.end = 3 * net::kSecond / 2, .messages = 3, .p50 = {}, .p99 = {}, .max = 5},
      {.end = 2 * net::kSecond, .messages = 0, .p50 = {}, .p99 = {}, .max = {}}};
  EXPECT_EQ(to_csv(intervals), std::string(kNames) +
                                   "1.000000,700,700.0,1,20,300\n"
                                   "1.500000,3,6.0,,,5\n"
                                   "2.000000,0,0.0,,,\n");
}

TEST(IntervalCsv, AnIntervalOfNoLengthHasNoRate) {
  const std::vector<Interval> intervals = {
      {.end = 0, .messages = 1, .p50 = 1, .p99 = {}, .max = 1}};
  EXPECT_EQ(to_csv(intervals), std::string(kNames) + "0.000000,1,0.0,1,,1\n");
}

}  // namespace
}  // namespace loadgen
