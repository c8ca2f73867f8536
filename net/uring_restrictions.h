// A ring that does what the engine asks for and nothing else (IORING_REGISTER_RESTRICTIONS, Linux
// 5.10). A system call filter sees io_uring_enter only, never what is asked for in the ring.
#pragma once

#include <liburing.h>

namespace net {

/// For a ring made with IORING_SETUP_R_DISABLED, on which buffer rings and the like are registered
/// already: refuses, with -EACCES, whatever UringEngine does not ask for, and lets it begin. The
/// thread that calls this is the ring's single issuer from then on. Returns 0 or -errno.
int restrict_and_enable(io_uring* ring);

}  // namespace net
