// What every program's exit status means; scripts and CI rely on it.
#pragma once

namespace cli {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,        // could not run or finish
  kUsage = 2,         // bad usage or unreadable input
  kDoesNotHold = 3,   // corrupt or missing bytes, an invalid run, a failed threshold
  kUnavailable = 4,   // the asked backend, or sandbox, is not available here
  kInterrupted = 130  // 128 + SIGINT
};

}  // namespace cli
