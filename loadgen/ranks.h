// What several processes found in one run, put together: counts are added and histograms merged, so
// that a percentile of the total is the one that a single process with all connections would have
// found. None is averaged.
#pragma once

#include <vector>

#include "loadgen/options.h"
#include "loadgen/result.h"

namespace loadgen {

/// The total, with the ranks in it. `asked`: the options of the whole run. Its intervals are not
/// made here, for they were merged while the run went on (IntervalLog). Requires a first rank that
/// is not lost.
///
/// What cannot be added is that of the first rank (backend, signal, start), the longest (window) or
/// the worst (stolen CPU time). The server is the one process that it is, whichever rank saw it.
Result total_of(std::vector<Rank> ranks, const Options& asked);

}  // namespace loadgen
