// One run, from the first connect to the sum of all workers: the story that the main thread tells.
#pragma once

#include <stdexcept>

#include "loadgen/crew.h"
#include "loadgen/options.h"
#include "loadgen/result.h"
#include "net/signals.h"

namespace loadgen {

/// Not one connection could be opened; the text says where to and why.
struct NoConnection : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The server is a node that signs lines: its bytes come back changed because it was told so.
struct SigningServer : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Runs `options` until its end, or until one of `signals` comes: then what was measured so far is
/// the result. Throws net::BackendUnavailable, NoConnection, SigningServer, std::system_error.
Result run(const Options& options, net::Signals& signals);

/// The part of it that falls to this process of the crew. In the first one the result is that of
/// all (loadgen/ranks.h), in the others their own. Throws CrewFailed too.
Result run(const Options& options, net::Signals& signals, Crew& crew);

}  // namespace loadgen
