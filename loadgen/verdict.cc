#include "loadgen/verdict.h"

#include <fmt/format.h>

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
  invalid(tally.connections_failed > 0, "connections_failed",
          fmt::format("{} of {} connections could not be opened", tally.connections_failed,
                      result.options.connections));
  invalid(tally.connections_lost > 0, "connections_lost",
          fmt::format("{} connections ended before the run did", tally.connections_lost));
  invalid(tally.latency.count() == 0, "no_samples", "no message was sent and answered");
  return verdict;
}

}  // namespace loadgen
