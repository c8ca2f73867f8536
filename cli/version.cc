// The one file that a new commit recompiles: the build passes the version as a compile definition
// and the revision as one or in a generated header. Without either this is a build by hand.
#include "cli/version.h"

#if !defined(ECHOBENCH_GIT) && __has_include("git_revision.h")
#include "git_revision.h"
#endif

#ifndef ECHOBENCH_VERSION
#define ECHOBENCH_VERSION "0.1.0"
#endif
#ifndef ECHOBENCH_GIT
#define ECHOBENCH_GIT "unknown"
#endif

namespace cli {

std::string_view version() { return ECHOBENCH_VERSION; }

std::string_view git_revision() { return ECHOBENCH_GIT; }

}  // namespace cli
