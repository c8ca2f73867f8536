// The result's intervals as a table for spreadsheets and plotting programs: a line of names, a line
// per interval, in order of time.
#pragma once

#include <string>
#include <vector>

#include "loadgen/intervals.h"

namespace loadgen {

/// Columns, in this order; further ones may follow at the end:
///   t_s             end of the interval, seconds since the window began
///   messages        answered inside it
///   messages_per_s  over its own length
///   p50_ns, p99_ns  of their latency; empty where the samples cannot support it
///   max_ns          their largest latency; empty without samples
/// Lines end in LF.
std::string to_csv(const std::vector<Interval>& intervals);

}  // namespace loadgen
