// The search for the highest rate that holds a limit: one short run after another.
#pragma once

#include <functional>
#include <string>

#include "loadgen/options.h"
#include "loadgen/result.h"
#include "net/signals.h"

namespace loadgen {

/// Runs slices of `options` at rising and falling rates until the rate is known, or a signal comes.
/// The result is that of the last slice that held at the highest rate that did (where none did, of
/// the last one), with the search in `slo`. `say` gets the table as it grows. Throws as run() does.
Result find_highest_rate(const Options& options, net::Signals& signals,
                         const std::function<void(const std::string&)>& say);

}  // namespace loadgen
