#include "loadgen/verdict.h"

#include <fmt/format.h>

#include "cli/units.h"

namespace loadgen {

std::string_view name_of(Verdict::Status status) {
  switch (status) {
    case Verdict::Status::kValid:
      return "valid";
    case Verdict::Status::kQuestionable:
      return "questionable";
    case Verdict::Status::kInvalid:
      break;
  }
  return "invalid";
}

namespace {

// Below this part of the rate that was asked for, another question was answered.
constexpr double kAchieved = 0.95;

bool misses_the_rate(const Result& result) {
  const Tally& tally = result.tally;
  // Of a handful of messages the last one's reply may just fall behind the window's end.
  return result.open_loop() && tally.answered_in_window + Histogram::kSamplesAbove <= tally.due &&
         static_cast<double>(tally.answered_in_window) < kAchieved * static_cast<double>(tally.due);
}

}  // namespace

Verdict judge(const Result& result) {
  Verdict verdict;
  const auto invalid = [&](bool is, const char* code, std::string message) {
    if (!is) return;
    verdict.status = Verdict::Status::kInvalid;
    verdict.reasons.push_back({code, std::move(message)});
  };
  const Tally& tally = result.tally;
  invalid(tally.corrupt > 0, "corrupt",
          fmt::format("wrong bytes came back {} times", tally.corrupt));
  invalid(tally.unanswered > 0, "unanswered",
          fmt::format("{} messages were not answered", tally.unanswered));
  invalid(tally.unsent > 0, "unsent",
          fmt::format("{} messages fell due and were never sent", tally.unsent));
  invalid(misses_the_rate(result), "rate_not_achieved",
          fmt::format("answered {} where {} were asked for, {:.0f} %",
                      cli::format_rate(result.messages_per_second()),
                      cli::format_rate(result.per_second(tally.due)),
                      100 * result.messages_per_second() / result.per_second(tally.due)));
  invalid(tally.connections_failed > 0, "connections_failed",
          fmt::format("{} of {} connections could not be opened", tally.connections_failed,
                      result.options.connections));
  invalid(tally.connections_lost > 0, "connections_lost",
          fmt::format("{} connections ended before the run did", tally.connections_lost));
  invalid(tally.latency.count() == 0, "no_samples", "no message was sent and answered");
  return verdict;
}

}  // namespace loadgen
