// The system calls that a server makes once it serves, and no other (seccomp(2)).
//
// A call that is not on the list fails with EPERM and does not end the process: libc has other ways
// where one is refused (malloc asks /sys how many CPUs there are, and does without an answer), and
// what an intruder wants is refused all the same. Calls of another architecture do end it, for no
// code of ours makes any.
#pragma once

#include <string>

#include "net/backend.h"

namespace server {

/// From now on, for this thread and those it starts. A server that `connects` is a relay. Sets
/// PR_SET_NO_NEW_PRIVS. Returns why not, or an empty text.
std::string restrict_calls(net::Backend backend, bool connects);

}  // namespace server
