// The names under which a result counts the troubles of connections: those of std::errc, and so of
// errno, in words: ECONNRESET is "connection_reset".
#pragma once

#include <string>

namespace loadgen {

std::string error_kind(int error);

}  // namespace loadgen
