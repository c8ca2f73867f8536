// Signals as a descriptor (signalfd(2)), so that a loop which sleeps in its engine wakes for them
// like for anything else and no code ever runs in a signal handler.
#pragma once

#include <csignal>
#include <initializer_list>

#include "net/fd.h"

namespace net {

class Signals {
 public:
  /// Blocks the signals in this thread and in those it starts from now on, but leaves those alone
  /// that are ignored, as nohup(1) has SIGHUP. SIGPIPE's default, death, is turned off. Throws
  /// std::system_error.
  Signals(std::initializer_list<int> signals);

  /// From now on they have their default effect again.
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const { return fd_.get(); }

  /// The next signal that has arrived, or 0.
  int next();

 private:
  sigset_t set_{};
  Fd fd_;
};

}  // namespace net
