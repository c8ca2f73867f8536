// Where a measurement was made: machine, kernel, its settings and the build. Two results are only
// comparable where this is, so it goes into each of them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace loadgen {

/// The result's `context` (results/schema.json) but for `liburing` and `io_uring_flags`, which the
/// engine knows. What this machine lacks or forbids to read is null: never an exception. Nothing
/// in it names the machine or its user. Call it at the start: affinity, the limit of open files and
/// the load average are those of the moment, the affinity the calling thread's.
///
/// `root` stands before every path in /proc and /sys: "" for this machine's own.
nlohmann::ordered_json collect_context(const std::string& root = "");

}  // namespace loadgen
