// For a while, what this process says is kept instead of being said: one rank speaks for all.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "net/fd.h"

namespace loadgen::mpi {

class Silence {
 public:
  /// Does nothing unless `on`. What is printed on stdout is lost, what on stderr is for end().
  explicit Silence(bool on) {
    if (!on) return;
    kept_ = net::Fd(::memfd_create("said", MFD_CLOEXEC));
    if (!kept_) return;
    const net::Fd lost(::memfd_create("lost", MFD_CLOEXEC));
    for (std::size_t i = 0; i < saved_.size(); ++i) {
      const int stream = kFirst + static_cast<int>(i);
      saved_.at(i) = net::Fd(::dup(stream));
      ::dup2(stream == STDERR_FILENO ? kept_.get() : lost.get(), stream);
    }
  }
  ~Silence() { end(); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

  /// Ends it; the first line of what would have been said on stderr.
  std::string end() {
    if (!kept_) return "";
    std::fflush(stdout);
    for (std::size_t i = 0; i < saved_.size(); ++i) {
      ::dup2(saved_.at(i).get(), kFirst + static_cast<int>(i));
    }
    std::array<char, 1024> text{};
    const ssize_t size = ::pread(kept_.get(), text.data(), text.size(), 0);
    kept_.reset();
    const std::string said(text.data(), static_cast<std::size_t>(size < 0 ? 0 : size));
    return said.substr(0, said.find('\n'));
  }

 private:
  static constexpr int kFirst = STDOUT_FILENO;

  net::Fd kept_;
  std::array<net::Fd, 2> saved_;  // stdout, stderr
};

}  // namespace loadgen::mpi
