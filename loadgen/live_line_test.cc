// What the live line says, at any width, and that it says nothing where nobody watches a terminal.
#include "loadgen/live_line.h"

#include <gtest/gtest.h>

#include <string>

namespace loadgen {
namespace {

using net::kMillisecond;
using net::kSecond;

LiveLine::State halfway() {
  return {.phase = "",
          .elapsed = 15 * kSecond,
          .total = 30 * kSecond,
          .interval = Interval{.end = 15 * kSecond,
                               .messages = 97'000,
                               .p50 = 12'300,
                               .p99 = 1'500'000,
                               .max = 2'000'000},
          .errors = 3};
}

TEST(LiveText, TellsHowFarItIsAndWhatTheLastIntervalWasLike) {
  EXPECT_EQ(live_text(halfway(), kSecond, 200),
            "15.0s of 30.0s  [############............]  97.0 k/s  p50 12.3 us  p99 1.50 ms  "
            "errors 3");
}

TEST(LiveText, TheRateIsThatOfTheInterval) {
  EXPECT_NE(live_text(halfway(), kSecond / 2, 200).find("194 k/s"), std::string::npos);
}

TEST(LiveText, TheBarIsEmptyAtFirstAndFullAtTheEnd) {
  LiveLine::State state = halfway();
  state.elapsed = 0;
  EXPECT_NE(live_text(state, kSecond, 200).find("[........................]"), std::string::npos);
  for (const net::Nanos elapsed : {30 * kSecond, 31 * kSecond}) {
    state.elapsed = elapsed;
    const std::string text = live_text(state, kSecond, 200);
    EXPECT_NE(text.find("30.0s of 30.0s  [########################]"), std::string::npos) << text;
  }
}

TEST(LiveText, NamesThePhase) {
  LiveLine::State state;
  state.phase = "warming up";
  state.elapsed = 300 * kMillisecond;
  EXPECT_EQ(live_text(state, kSecond, 80), "warming up  0.3s  errors 0");
}

TEST(LiveText, WithoutATotalThereIsNoBar) {
  LiveLine::State state = halfway();
  state.total = 0;
  EXPECT_EQ(live_text(state, kSecond, 200), "15.0s  97.0 k/s  p50 12.3 us  p99 1.50 ms  errors 3");
}

TEST(LiveText, AnUnsupportedPercentileIsADash) {
  LiveLine::State state = halfway();
  state.interval->p99.reset();
  EXPECT_NE(live_text(state, kSecond, 200).find("p99 -  "), std::string::npos);
}

TEST(LiveText, NeverFillsTheTerminalsLastColumn) {
  for (std::size_t width = 0; width <= 200; ++width) {
    const std::string text = live_text(halfway(), kSecond, width);
    EXPECT_LE(text.size(), width == 0 ? 0 : width - 1) << width;
  }
}

TEST(LiveText, ANarrowTerminalCostsTheBarFirst) {
  const std::string text = live_text(halfway(), kSecond, 64);
  EXPECT_EQ(text.find('['), std::string::npos);
  EXPECT_NE(text.find("errors 3"), std::string::npos) << text;
}

TEST(LiveLine, ShowsNothingWhereStderrIsNoTerminal) {
  ::testing::internal::CaptureStderr();
  {
    LiveLine line(false, kSecond);
    line.show(halfway());
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace loadgen
