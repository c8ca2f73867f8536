// How a run ends, for loadgen and loadgen-mpi alike: what is written of it, and the exit status.
#pragma once

#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "loadgen/options.h"
#include "loadgen/result.h"
#include "loadgen/verdict.h"

namespace loadgen {

/// Throws where an output cannot be written, before anything was measured in vain.
void check_outputs(const Options& options);

/// Judges the result and writes what was asked for; `program` stands before what is complained of.
/// Returns the exit status.
int publish(const char* program, const Options& options, const Result& result,
            nlohmann::ordered_json context);

/// Why there is no result, and the exit status that says so.
struct Failure {
  std::string text;
  int status;
};
Failure failure_of(const std::exception_ptr& exception);

}  // namespace loadgen
