// What one rank tells another, as JSON values that travel in CBOR (RFC 8949): the same on every
// machine, whatever its byte order. Ranks are of one version (loadgen/mpi/job.h sees to it), so
// members are told in order, without names.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "loadgen/histogram.h"
#include "loadgen/result.h"

namespace loadgen::mpi {

using Json = nlohmann::json;
using Bytes = std::vector<std::uint8_t>;

/// All that was recorded, exactly.
Json to_wire(const Histogram& histogram);
Histogram histogram_from_wire(const Json& json);

/// What a rank found by itself, but for what the receiver has anyway (options, intervals). What is
/// malformed throws std::exception.
Json to_wire(const Result& own);
void from_wire(const Json& json, Result& own);

}  // namespace loadgen::mpi
