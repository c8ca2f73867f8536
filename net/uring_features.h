// What this kernel's io_uring can do, found out by trying each thing, never by its version: vendors
// backport, sandboxes forbid, and a bug may have been fixed or not.
//
// The ladder, from the top: everything (Linux 6.1 and later) -> no DEFER_TASKRUN -> one-shot
// receives (before 6.0) -> io_uring is unavailable (no provided-buffer rings: before 5.19).
#pragma once

#include <liburing.h>

#include <string>
#include <vector>

#include "net/engine.h"

namespace net {

struct UringFeatures {
  bool single_issuer = false;     // 6.0: one submitting task; the kernel takes fewer locks
  bool defer_taskrun = false;     // 6.1: completions run when asked for, not when they like
  bool coop_taskrun = false;      // 5.19: the second best: no interrupt to deliver a completion
  bool submit_all = false;        // 5.18: one bad request does not hold up those behind it
  bool multishot_accept = false;  // 5.19: one request, a completion per connection
  bool multishot_recv = false;    // 6.1, with defer_taskrun: one request, a completion per arrival
  bool silent_send = false;       // a send that completes at once posts nothing (see below)
  bool registered_ring = false;   // 5.18: no fget/fput of the ring per enter
  bool restricted = false;        // asked for: the ring refuses what the engine never asks for
  unsigned cq_entries = 0;
  unsigned small_buffers = 0;
  std::vector<std::string> without;  // what this kernel may have and the environment took away

  unsigned setup_flags() const;
  /// What is in use, then "without=name,name" where something was taken away.
  std::vector<std::string> names() const;
};

/// Tries everything on a small ring of its own. Throws BackendUnavailable with the reason.
///
/// silent_send: MSG_DONTWAIT|MSG_WAITALL with IOSQE_CQE_SKIP_SUCCESS has to post nothing when all
/// bytes went, the partial count when some did, -EAGAIN when none did. It is proved here on a full
/// socket pair, since a kernel that stayed silent on a partial send would lose bytes.
///
/// Environment, for tests: ECHOBENCH_URING_WITHOUT=name,name takes rungs away, and is an error
/// (std::invalid_argument) where it names none; ECHOBENCH_URING_CQ=N and ECHOBENCH_URING_BUFFERS=N
/// shrink the queues.
UringFeatures probe_uring();

}  // namespace net
