// loadgen's judgement of its own run. A figure without it would look as good when it is wrong.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loadgen/result.h"

namespace loadgen {

struct Verdict {
  enum class Status { kValid, kQuestionable, kInvalid };
  struct Reason {
    std::string code;     // stable, for programs
    std::string message;  // one line, with figures
  };

  Status status = Status::kValid;
  std::vector<Reason> reasons;
};

std::string_view name_of(Verdict::Status status);

Verdict judge(const Result& result);

}  // namespace loadgen
