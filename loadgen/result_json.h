// The result as JSON: results/schema.json is its definition, and the tests hold it against that.
#pragma once

#include <nlohmann/json.hpp>

#include "loadgen/result.h"
#include "loadgen/verdict.h"

namespace loadgen {

/// `context`: of collect_context(), at the start of the run.
nlohmann::ordered_json to_json(const Result& result, const Verdict& verdict,
                               nlohmann::ordered_json context);

}  // namespace loadgen
