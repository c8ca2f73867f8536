// A run of this very program in a process of its own: the same code from the command line to the
// JSON as in any run, and a process can be stopped without stopping who looks on.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "net/clock.h"
#include "net/fd.h"

namespace loadgen {

class OwnRun {
 public:
  /// Starts loadgen with these arguments; its stderr is ours. Throws std::system_error.
  explicit OwnRun(std::vector<std::string> arguments);
  /// Ends it where it still runs.
  ~OwnRun();
  OwnRun(const OwnRun&) = delete;
  OwnRun& operator=(const OwnRun&) = delete;

  /// Stops the process for that long (SIGSTOP, SIGCONT); returns how long it really was.
  net::Nanos stop_for(net::Nanos time) const;

  struct End {
    int status = 0;  // exit code; 128 + N where signal N ended it
    std::string output;
  };
  End wait();

 private:
  pid_t pid_ = -1;
  net::Fd output_;
};

}  // namespace loadgen
