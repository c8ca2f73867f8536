// Each thing that makes a run worthless, alone and together with the others.
#include "loadgen/verdict.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "loadgen/testing_result.h"

namespace loadgen {
namespace {

TEST(Verdict, IsNamedAsInTheResult) {
  EXPECT_EQ(name_of(Verdict::Status::kValid), "valid");
  EXPECT_EQ(name_of(Verdict::Status::kQuestionable), "questionable");
  EXPECT_EQ(name_of(Verdict::Status::kInvalid), "invalid");
}

TEST(Judge, AGoodRunIsValid) {
  const Verdict verdict = judge(good_result());
  EXPECT_EQ(verdict.status, Verdict::Status::kValid);
  EXPECT_TRUE(verdict.reasons.empty());
}

struct Trouble {
  std::string code;
  std::string figure;  // stands in the message
  std::function<void(Result&)> make;
};

const std::vector<Trouble>& troubles() {
  static const std::vector<Trouble> kAll = {
      {"corrupt", "17", [](Result& result) { result.tally.corrupt = 17; }},
      {"unanswered", "18", [](Result& result) { result.tally.unanswered = 18; }},
      {"unsent", "21", [](Result& result) { result.tally.unsent = 21; }},
      {"rate_not_achieved", "94 %",
       [](Result& result) {
         result.options.rate = 50'000;
         result.tally.due = 106'400;
       }},
      {"connections_failed", "1 of 3", [](Result& result) { result.tally.connections_failed = 1; }},
      {"connections_lost", "19 connections ended before the run did, 17 were made anew",
       [](Result& result) {
         result.tally.connections_lost = 19;
         result.tally.connections_remade = 17;
       }},
      {"no_samples", "no message", [](Result& result) { result.tally.latency.clear(); }},
  };
  return kAll;
}

/// 100 k messages of 40 us each: what two connections can do in 2 s.
void make_busy_connections(Result& result) {
  result.tally.latency.clear();
  result.tally.latency.record(40'000, 100'000);
}

void have_samples(Result& result, std::int64_t count) {
  result.tally.latency.clear();
  result.tally.latency.record(50'000'000, count);
}

void make_open(Result& result) {
  result.options.rate = 50'000;
  result.tally.due = 100'000;
  result.tally.send_lag.record(1000, 100'000);
}

using Parts = std::vector<std::uint64_t>;
void answer(Result& result, const Parts& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    result.tally.tenths.parts[i].messages = messages[i];
    result.tally.tenths.parts[i].latency = static_cast<std::int64_t>(messages[i]) * 50'000'000;
  }
}

void take_milliseconds(Result& result, const std::vector<int>& mean_latency) {
  make_open(result);
  for (std::size_t i = 0; i < mean_latency.size(); ++i) {
    result.tally.tenths.parts[i] = {1000, 1000LL * 1'000'000 * mean_latency[i]};
  }
}

const std::vector<Trouble>& doubts() {
  static const std::vector<Trouble> kAll = {
      {"client_stalled", "500 ms of 2.00 s (at most 300 ms",
       [](Result& result) {
         result.tally.stalled = 500 * net::kMillisecond;
         result.tally.longest_stall = 300 * net::kMillisecond;
       }},
      {"client_stalled", "50.0 ms of 2.00 s (in stretches",
       [](Result& result) { result.run_delay = 50 * net::kMillisecond; }},
      {"client_bound", "97 %", [](Result& result) { result.tally.busy = 0.97; }},
      {"client_bound", "97 %",
       [](Result& result) {
         result.tally.busy = 0.97;
         result.server.reset();
       }},
      {"client_late", "15.0 ms late on average, 30 %",
       [](Result& result) {
         make_open(result);
         result.tally.send_lag.clear();
         result.tally.send_lag.record(20'000'000, 100'000);
         result.tally.held_up = 100'000 * 5'000'000LL;
       }},
      {"stolen_cpu", "3 %", [](Result& result) { result.steal_fraction = 0.03; }},
      {"one_core", "CPU 5", [](Result& result) { result.only_cpu = 5; }},
      {"server_helpers", "20 %",
       [](Result& result) { result.server->helpers = result.server->cpu.time / 5; }},
      {"unsteady_throughput", "50.0 k/s in the first half of the window, 35.0 k/s in the second",
       [](Result& result) {
         answer(result, {10000, 10000, 10000, 10000, 10000, 7000, 7000, 7000, 7000, 7000});
       }},
      {"unsteady_throughput", "in one tenth of the window 5.00 k/s, elsewhere 50.0 k/s",
       [](Result& result) {
         answer(result, {10000, 10000, 1000, 10000, 10000, 10000, 10000, 10000, 10000, 10000});
       }},
      {"unsteady_latency", "25.0 ms on average in the first half of the window, 55.0 ms",
       [](Result& result) {
         take_milliseconds(result, {5, 15, 25, 35, 45, 55, 65, 75, 85, 95});
       }},
      {"littles_law", "makes 1.9 messages outstanding, not 2",
       [](Result& result) {
         make_busy_connections(result);
         result.tally.answered_in_window = 97'000;
       }},
      {"few_samples", "999 samples; p99 needs 1.00 k",
       [](Result& result) { have_samples(result, 999); }},
  };
  return kAll;
}

void expect_only(const Trouble& trouble, Verdict::Status status) {
  Result result = good_result();
  trouble.make(result);
  const Verdict verdict = judge(result);
  EXPECT_EQ(verdict.status, status) << trouble.code;
  ASSERT_EQ(verdict.reasons.size(), 1U) << trouble.code;
  const Verdict::Reason& reason = verdict.reasons[0];
  EXPECT_EQ(reason.code, trouble.code);
  EXPECT_NE(reason.message.find(trouble.figure), std::string::npos) << reason.message;
  EXPECT_EQ((reason.message + reason.advice).find('\n'), std::string::npos);
  EXPECT_FALSE(reason.advice.empty()) << trouble.code;
}

TEST(Judge, EachTroubleMakesARunInvalid) {
  for (const Trouble& trouble : troubles()) expect_only(trouble, Verdict::Status::kInvalid);
}

TEST(Judge, EachDoubtMakesARunQuestionable) {
  for (const Trouble& doubt : doubts()) expect_only(doubt, Verdict::Status::kQuestionable);
}

TEST(Judge, AllTroublesAreTold) {
  Result result = good_result();
  for (const Trouble& trouble : troubles()) trouble.make(result);
  EXPECT_EQ(judge(result).reasons.size(), troubles().size());
}

TEST(Judge, ADoubtDoesNotSoftenATrouble) {
  Result result = good_result();
  result.tally.corrupt = 1;
  result.steal_fraction = 0.5;
  EXPECT_EQ(judge(result).status, Verdict::Status::kInvalid);
  EXPECT_EQ(judge(result).reasons.size(), 2U);
}

struct NoTrouble {
  std::string what;
  std::function<void(Result&)> make;
};

TEST(Judge, RaisesNoFalseAlarm) {
  const std::vector<NoTrouble> all = {
      {"nearly the rate",
       [](Result& result) {
         make_open(result);
         result.tally.due = 105'000;
       }},
      {"a moment without the CPU",
       [](Result& result) { result.run_delay = 10 * net::kMillisecond; }},
      {"both sides are full",
       [](Result& result) {
         result.tally.busy = 1;
         result.server->threads = 1;
         result.server->cpu.time = 97 * net::kSecond / 50;
       }},
      {"late because no connection was free",
       [](Result& result) {
         make_open(result);
         result.tally.send_lag.clear();
         result.tally.send_lag.record(40'000'000, 100'000);
         result.tally.held_up = 100'000 * 35'000'000LL;
       }},
      {"late because the peer did not read",
       [](Result& result) {
         make_open(result);
         result.tally.send_lag.record(40'000'000, 100'000'000);
         result.tally.parked = 1;
       }},
      {"a little was stolen", [](Result& result) { result.steal_fraction = 0.005; }},
      {"a helper at the beginning",
       [](Result& result) { result.server->helpers = result.server->cpu.time / 20; }},
      {"hiccups in throughput",
       [](Result& result) {
         answer(result, {10000, 10000, 9500, 10000, 10000, 8000, 9900, 7000, 7500, 9600});
       }},
      {"hiccups in latency",
       [](Result& result) {
         take_milliseconds(result, {5, 6, 5, 5, 6, 30, 20, 90, 5, 25});
       }},
      {"the chance of few messages",
       [](Result& result) {
         answer(result, {10, 13, 9, 7, 12, 6, 15, 4, 8, 11});
       }},
      {"a window of so many messages",
       [](Result& result) {
         result.options.messages = 100'000;
         answer(result, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
       }},
      {"Little's law holds", make_busy_connections},
      {"Little's law holds with the turn-round",
       [](Result& result) {
         make_busy_connections(result);
         result.tally.answered_in_window = 80'000;
         result.tally.turnaround = 80'000 * 10'000LL;
       }},
      {"just enough samples", [](Result& result) { have_samples(result, 1000); }},
  };
  for (const NoTrouble& one : all) {
    Result result = good_result();
    one.make(result);
    const Verdict verdict = judge(result);
    EXPECT_EQ(verdict.status, Verdict::Status::kValid)
        << one.what << ": "
        << (verdict.reasons.empty() ? "" : verdict.reasons[0].code + verdict.reasons[0].message);
  }
}

TEST(Judge, AFewMessagesDoNotShowARate) {
  Result result = good_result();
  result.options.rate = 5;
  result.tally.due = 10;
  result.tally.answered_in_window = 9;
  EXPECT_NE(judge(result).status, Verdict::Status::kInvalid);
}

TEST(Judge, ItsOwnStallIsNotBlamedOnTheServer) {
  Result result = good_result();
  make_open(result);
  answer(result, {10000, 10000, 0, 10000, 10000, 20000, 10000, 10000, 10000, 10000});
  result.tally.stalled = 200 * net::kMillisecond;
  const Verdict verdict = judge(result);
  ASSERT_EQ(verdict.reasons.size(), 1U);
  EXPECT_EQ(verdict.reasons[0].code, "client_stalled");
}

// ---- a run of several ranks

std::vector<std::string> codes_of(const Verdict& verdict) {
  std::vector<std::string> codes;
  for (const auto& reason : verdict.reasons) codes.push_back(reason.code);
  return codes;
}

Rank good_rank() {
  Rank rank;
  rank.host = "anna";
  rank.own = good_result();
  return rank;
}

Verdict verdict_of(std::vector<Rank> ranks) {
  Options asked = good_result().options;
  asked.connections *= ranks.size();
  return judge(total_of(std::move(ranks), asked));
}

TEST(JudgeRanks, GoodRanksMakeAGoodRun) {
  const Verdict verdict = verdict_of({good_rank(), good_rank()});
  EXPECT_EQ(verdict.status, Verdict::Status::kValid);
  EXPECT_TRUE(verdict.reasons.empty());
}

TEST(JudgeRanks, ALostOneMakesItInvalid) {
  Rank lost;
  lost.host = "bert";
  lost.lost = true;
  const Verdict verdict = verdict_of({good_rank(), lost});
  EXPECT_EQ(verdict.status, Verdict::Status::kInvalid);
  ASSERT_GE(verdict.reasons.size(), 1U);
  EXPECT_EQ(verdict.reasons[0].code, "rank_lost");
  EXPECT_NE(verdict.reasons[0].message.find("rank 1 (bert)"), std::string::npos);
}

TEST(JudgeRanks, ALateOneMakesItQuestionable) {
  Rank late = good_rank();
  late.late = 3 * net::kMillisecond;
  const Verdict verdict = verdict_of({good_rank(), late});
  EXPECT_EQ(verdict.status, Verdict::Status::kQuestionable);
  EXPECT_EQ(codes_of(verdict), std::vector<std::string>{"rank_late"});
  EXPECT_NE(verdict.reasons[0].message.find("3.00 ms"), std::string::npos);
}

TEST(JudgeRanks, AStalledOneIsNamedAndTheServerIsNotBlamed) {
  Rank stalled = good_rank();
  stalled.own.tally.stalled = stalled.own.tally.longest_stall = net::kSecond / 4;
  for (Tenths::Part& part : stalled.own.tally.tenths.parts) part.messages = 40'000;
  stalled.own.tally.tenths.parts[4].messages = 0;
  const Verdict verdict = verdict_of({good_rank(), stalled});
  EXPECT_EQ(codes_of(verdict), std::vector<std::string>{"rank_questionable"});
  EXPECT_NE(verdict.reasons[0].message.find("rank 1 (anna): client_stalled: "), std::string::npos);
}

TEST(JudgeRanks, AnInvalidOneMakesItInvalid) {
  Rank wrong = good_rank();
  wrong.own.tally.corrupt = 1;
  const Verdict verdict = verdict_of({good_rank(), wrong});
  EXPECT_EQ(verdict.status, Verdict::Status::kInvalid);
  EXPECT_EQ(codes_of(verdict), (std::vector<std::string>{"rank_invalid", "corrupt"}));
}

TEST(JudgeRanks, EnoughSamplesAreForTheTotalToHave) {
  Rank few = good_rank();
  have_samples(few.own, 600);
  EXPECT_EQ(codes_of(judge(few.own)), std::vector<std::string>{"few_samples"});
  EXPECT_TRUE(codes_of(judge_part(few.own)).empty());
}

}  // namespace
}  // namespace loadgen
