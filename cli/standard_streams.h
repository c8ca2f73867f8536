// The standard streams as a program may find them: closed, or a pipe that nobody reads.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <csignal>

namespace cli {

/// To be called first. A number from 0 to 2 that is free would be given to the next file or socket,
/// and what the program prints would go to a client; so it is taken by something that can't be read
/// or written (EBADF). And SIGPIPE's default, death without a word, is turned off: write(2) says
/// EPIPE.
inline void guard_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) ::open("/", O_PATH | O_CLOEXEC);  // the lowest that is free
  }
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace cli
