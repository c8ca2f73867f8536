// loadgen --self-test: does this program, on this machine, notice what a load generator must? It
// measures servers of its own whose faults are known, and compares what it says with what they did.
#pragma once

#include <cstdio>

#include "loadgen/options.h"

namespace loadgen {

/// Prints each finding on `out` as soon as there is one; takes 15 s, and up to three times as long
/// where all fail, for what fails is tried again. `options.backend` is what loadgen runs on.
/// Returns the exit code: cli::kOk where all passed, kDoesNotHold where one did not, else that of a
/// run that could not be made. Throws std::system_error.
int self_test(const Options& options, std::FILE* out);

}  // namespace loadgen
