// What a server that someone has taken over could still do: serve, and little else.
//
// A server's work needs a listening socket, an engine and the connections. When it has them, it
// gives up the rest, once and for all: the names of files and other machines (server/landlock.h),
// and where asked for, the system calls that it does not make (server/syscall_filter.h) and the
// requests that its ring is not for (net/uring_restrictions.h).
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>

#include "net/backend.h"

namespace server {

enum class Sandbox {
  kOff,
  kOn,      // Landlock, where the kernel has it
  kStrict,  // Landlock and seccomp, or not at all
};

/// What was asked for can't be had here; the text says why.
struct SandboxUnavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// For good, for this thread and those it starts. `next_hop`: the port that a relay connects to.
/// Throws SandboxUnavailable.
void enter(Sandbox sandbox, net::Backend backend, std::optional<std::uint16_t> next_hop);

}  // namespace server
