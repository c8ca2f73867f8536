// The closing report that a person reads.
#pragma once

#include <string>

#include "loadgen/result.h"
#include "loadgen/verdict.h"

namespace loadgen {

std::string summary(const Result& result, const Verdict& verdict);

}  // namespace loadgen
