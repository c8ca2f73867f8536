// Each thing that makes a run worthless, alone and together with the others.
#include "loadgen/verdict.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
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
      {"connections_failed", "1 of 2", [](Result& result) { result.tally.connections_failed = 1; }},
      {"connections_lost", "19", [](Result& result) { result.tally.connections_lost = 19; }},
      {"no_samples", "no message", [](Result& result) { result.tally.latency.clear(); }},
  };
  return kAll;
}

TEST(Judge, EachTroubleMakesARunInvalid) {
  for (const Trouble& trouble : troubles()) {
    Result result = good_result();
    trouble.make(result);
    const Verdict verdict = judge(result);
    EXPECT_EQ(verdict.status, Verdict::Status::kInvalid) << trouble.code;
    ASSERT_EQ(verdict.reasons.size(), 1U) << trouble.code;
    EXPECT_EQ(verdict.reasons[0].code, trouble.code);
    EXPECT_NE(verdict.reasons[0].message.find(trouble.figure), std::string::npos)
        << verdict.reasons[0].message;
    EXPECT_EQ(verdict.reasons[0].message.find('\n'), std::string::npos);
  }
}

TEST(Judge, NearlyTheRateIsEnough) {
  Result result = good_result();
  result.options.rate = 50'000;
  result.tally.due = 105'000;
  EXPECT_EQ(judge(result).status, Verdict::Status::kValid);
}

TEST(Judge, AFewMessagesDoNotShowARate) {
  Result result = good_result();
  result.options.rate = 5;
  result.tally.due = 10;
  result.tally.answered_in_window = 9;
  EXPECT_EQ(judge(result).status, Verdict::Status::kValid);
}

TEST(Judge, AllTroublesAreTold) {
  Result result = good_result();
  for (const Trouble& trouble : troubles()) trouble.make(result);
  EXPECT_EQ(judge(result).reasons.size(), troubles().size());
}

}  // namespace
}  // namespace loadgen
