// The closing report, whole and line by line.
#include "loadgen/summary.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "loadgen/testing_result.h"

namespace loadgen {
namespace {

std::string summary_of(const Result& result) { return summary(result, judge(result)); }

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Summary, ReadsLikeThis) {
  EXPECT_EQ(summary_of(good_result()),
            R"(127.0.0.1:8888: 2 connections, 64 B messages, closed loop, loadgen on epoll

throughput  50.0 k/s   3.05 MiB/s each way   100 k messages in 2.00 s

latency     100 k samples, one a message
  min       1.00 us
  mean      50.0 ms
  p50       50.0 ms
  p90       90.0 ms
  p99       99.0 ms
  p99.9     99.9 ms
  p99.99     100 ms
  max        100 ms
  stamps are read once a batch: off by 2.00 us on average, 3.00 us at most

CPU         client  10.0 us a message, 50 % of a core
            server  5.00 us a message, 25 % of a core (echo-server, pid 4711, 4 threads)
errors      none
verdict     valid
            In a closed loop a stalled server is asked less often, so stalls are under-represented.
)");
}

TEST(Summary, OfAnOpenLoopReadsLikeThis) {
  Result result = good_result();
  result.options.rate = 50'000;
  result.options.pipeline = 4;
  result.tally.due = 100'000;
  result.tally.sent = 100'000;
  result.tally.service = microseconds(10'000);
  result.tally.send_lag = microseconds(500);
  result.tally.latency = microseconds(99'700);
  result.tally.unsent = 200;
  result.tally.unanswered = 100;
  const std::string text = summary_of(result);
  const std::string expected =
      R"(127.0.0.1:8888: 2 connections, 64 B messages, up to 4 outstanding on each, open loop, 50.0 k/s uniform, loadgen on epoll

throughput  50.0 k/s   3.05 MiB/s each way   100 k messages in 2.00 s
rate        asked 50.0 k/s   sent 50.0 k/s   answered 50.0 k/s   100 k due, 200 never sent

latency     99.7 k samples, one a message
            latency   service   send lag
  min       1.00 us   1.00 us   1.00 us
  mean      infinite  infinite  infinite
  p50       50.0 ms   5.05 ms    350 us
  p90       90.0 ms   9.09 ms   infinite
  p99       99.0 ms   10.0 ms   infinite
  p99.9     infinite  infinite  infinite
  p99.99    infinite  infinite  infinite
  max       infinite  infinite  infinite
  stamps)";
  EXPECT_EQ(text.substr(0, expected.size()), expected);
  EXPECT_TRUE(has_line(text, "errors      unanswered 100, unsent 200")) << text;
  EXPECT_EQ(text.find("closed loop"), std::string::npos);
}

TEST(Summary, TellsOfReplacedConnections) {
  Result result = good_result();
  result.options.churn = 3;
  result.tally.replaced_in_window = 42'000;
  result.tally.connect = microseconds(2000);
  const std::string text = summary_of(result);
  EXPECT_TRUE(has_line(text, "connects    21.0 k/s, replaced after 3 messages")) << text;
  EXPECT_TRUE(has_line(text, "  p50       1.00 ms")) << text;
  EXPECT_TRUE(has_line(text, "  p99.9     -")) << text;
  EXPECT_EQ(summary_of(good_result()).find("connects"), std::string::npos);
  result.tally.connect.clear();
  EXPECT_TRUE(has_line(summary_of(result), "  p50       -"));
}

TEST(Summary, TellsTheLoad) {
  Result result = good_result();
  result.options.connections = 1;
  result.options.message_size = 4096;
  EXPECT_EQ(summary_of(result).rfind("127.0.0.1:8888: 1 connection, 4.00 KiB messages, closed", 0),
            0U);
  result.options.connections = 500;
  result.options.threads = 2;
  result.options.pipeline = 16;
  result.backend = net::Backend::kUring;
  EXPECT_TRUE(has_line(summary_of(result),
                       "127.0.0.1:8888: 500 connections on 2 threads, 4.00 KiB messages, "
                       "16 outstanding on each, closed loop, loadgen on io_uring"));
}

TEST(Summary, SaysWhereThereAreTooFewSamples) {
  Result result = good_result();
  result.tally.latency = microseconds(100);
  const std::string text = summary_of(result);
  EXPECT_TRUE(has_line(text, "  p90       90.0 us")) << text;
  EXPECT_TRUE(has_line(text, "  p99       -  too few samples")) << text;
  EXPECT_TRUE(has_line(text, "  max        100 us")) << text;
}

TEST(Summary, OfNothingHasNoTable) {
  Result result = good_result();
  result.tally = Tally();
  result.elapsed = 0;
  const std::string text = summary_of(result);
  EXPECT_EQ(text.find("p50"), std::string::npos) << text;
  EXPECT_TRUE(has_line(text, "verdict     invalid")) << text;
  EXPECT_NE(text.find("- a message"), std::string::npos) << text;
}

TEST(Summary, LeavesOutTheStampsWhereEachWasReadAlone) {
  Result result = good_result();
  result.tally.stamp_error = Histogram();
  result.tally.stamp_error.record(0, 100'000);
  EXPECT_EQ(summary_of(result).find("stamps"), std::string::npos);
}

TEST(Summary, LeavesOutAServerThatIsNotHere) {
  Result result = good_result();
  result.server.reset();
  EXPECT_EQ(summary_of(result).find("server  "), std::string::npos);
}

TEST(Summary, CountsOneThread) {
  Result result = good_result();
  result.server->threads = 1;
  EXPECT_NE(summary_of(result).find("1 thread)"), std::string::npos);
}

TEST(Summary, TellsWhatWasStolen) {
  Result result = good_result();
  EXPECT_EQ(summary_of(result).find("stolen"), std::string::npos);
  result.steal_fraction = 0.031;
  EXPECT_TRUE(has_line(summary_of(result), "            stolen by the hypervisor: 3.1 %"));
  result.steal_fraction.reset();
  EXPECT_EQ(summary_of(result).find("stolen"), std::string::npos);
}

TEST(Summary, NamesTheErrorsAndWhatIsUnanswered) {
  Result result = good_result();
  result.tally.errors = {{"connection_reset", 2}, {"flipped", 1}};
  EXPECT_TRUE(has_line(summary_of(result), "errors      connection_reset 2, flipped 1"));
  result.tally.unanswered = 5;
  EXPECT_TRUE(
      has_line(summary_of(result), "errors      connection_reset 2, flipped 1, unanswered 5"));
  result.tally.errors.clear();
  EXPECT_TRUE(has_line(summary_of(result), "errors      unanswered 5"));
}

TEST(Summary, GivesTheReasonsOfTheVerdict) {
  Result result = good_result();
  result.tally.corrupt = 3;
  const std::string text = summary_of(result);
  EXPECT_TRUE(has_line(text, "verdict     invalid")) << text;
  EXPECT_TRUE(has_line(text, "            corrupt: wrong bytes came back 3 times")) << text;
  EXPECT_NE(text.find("\n              -> "), std::string::npos) << text;
}

TEST(Summary, SaysThatASignalEndedIt) {
  Result result = good_result();
  result.signal = 2;
  EXPECT_TRUE(has_line(summary_of(result), "verdict     valid, ended early by a signal"));
}

TEST(Summary, FitsATerminal) {
  std::istringstream lines(summary_of(good_result()));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
}

TEST(Summary, HasARowForEachRank) {
  const std::string text = summary_of(total_of_ranks());
  EXPECT_TRUE(has_line(text, "ranks       on 2 hosts")) << text;
  EXPECT_TRUE(has_line(
      text,
      "  0   anna          2            50.0 k/s      99.0 ms   50 %   -                    valid"))
      << text;
  EXPECT_TRUE(has_line(text,
                       "  1   bert          2            50.0 k/s      99.0 ms   50 %   -2.00 s "
                       "+-15.0 us    questionable: client_stalled"))
      << text;
  EXPECT_TRUE(has_line(
      text,
      "  2   bert          2            -             -         -      -                    lost"))
      << text;
  EXPECT_NE(text.find("rank_lost: nothing was heard of rank 2 (bert) at the end"),
            std::string::npos);
}

TEST(Summary, OfOneProcessHasNoRanks) {
  EXPECT_EQ(summary_of(good_result()).find("ranks"), std::string::npos);
}

}  // namespace
}  // namespace loadgen
