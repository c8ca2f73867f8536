// loadgen's judgement of its own run. A figure without it would look as good when it is wrong.
// docs/MEASURING.md tells of each code why it is there and where its limit comes from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loadgen/result.h"

namespace loadgen {

struct Verdict {
  enum class Status {
    kValid,
    kQuestionable,  // the figures may not be those of the server alone
    kInvalid        // they do not hold
  };
  struct Reason {
    std::string code;     // stable, for programs
    std::string message;  // one line, with figures
    std::string advice;   // one line: what to do about it
  };

  Status status = Status::kValid;
  std::vector<Reason> reasons;
};

std::string_view name_of(Verdict::Status status);

Verdict judge(const Result& result);

/// Of one rank: all but whether there are enough samples, for those of all ranks are put together.
Verdict judge_part(const Result& own);

}  // namespace loadgen
