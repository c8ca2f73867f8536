// Readiness by poll(2), what servers had before epoll: each call hands the kernel the whole list of
// descriptors, and walks it again for the answers, so a message costs the more the more connections
// there are, idle ones too. A baseline to compare with.
#pragma once

#include <poll.h>

#include <new>
#include <vector>

#include "net/readiness_engine.h"

namespace net {

class Poll {
 public:
  static constexpr const char* kName = "poll";

  bool add(int fd, std::uint64_t tag, bool writable) {
    return insert(fd, tag, static_cast<short>(kReading | (writable ? POLLOUT : 0)), false);
  }
  bool watch_writable(int fd, std::uint64_t) {
    rearm_writable(fd);
    return true;
  }
  void rearm_readable(int fd) { arm(fd, kReading); }
  void rearm_writable(int fd) { arm(fd, POLLOUT); }
  void remove(int fd);

  bool add_level(int fd, std::uint64_t tag) { return insert(fd, tag, POLLIN, true); }
  bool set_level(int fd, std::uint64_t, bool told) {
    polled_[place(fd)].events = static_cast<short>(told ? POLLIN : 0);
    return true;
  }

  int wait(Nanos timeout);
  Ready ready(int i) const { return ready_[static_cast<std::size_t>(i)]; }

 private:
  static constexpr short kReading = POLLIN | POLLRDHUP | POLLPRI;
  static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLPRI == EPOLLPRI &&
                POLLERR == EPOLLERR && POLLHUP == EPOLLHUP && POLLRDHUP == EPOLLRDHUP);

  struct Who {
    std::uint64_t tag;
    bool level;
  };

  static int descriptor(const pollfd& polled) { return std::max(polled.fd, ~polled.fd); }
  std::size_t& place(int fd) { return place_[static_cast<std::size_t>(fd)]; }
  bool insert(int fd, std::uint64_t tag, short events, bool level);
  void arm(int fd, short events);
  void told(std::size_t at, short events);

  std::vector<pollfd> polled_;      // what the kernel reads, without gaps
  std::vector<Who> who_;            // beside it
  std::vector<std::size_t> place_;  // by descriptor: where in the two it is
  std::vector<Ready> ready_;
};

inline bool Poll::insert(int fd, std::uint64_t tag, short events, bool level) {
  const auto number = static_cast<std::size_t>(fd);
  try {
    if (place_.size() <= number) place_.resize(number + 1);
    polled_.reserve(place_.capacity());
    who_.reserve(place_.capacity());
    ready_.reserve(place_.capacity());
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return false;
  }
  place_[number] = polled_.size();
  polled_.push_back({.fd = fd, .events = events, .revents = 0});
  who_.push_back({tag, level});
  return true;
}

/// The last one takes its place. What failed before it was added is not there.
inline void Poll::remove(int fd) {
  if (fd < 0 || static_cast<std::size_t>(fd) >= place_.size()) return;
  const std::size_t at = place(fd);
  if (at >= polled_.size() || descriptor(polled_[at]) != fd) return;
  place(descriptor(polled_.back())) = at;
  polled_[at] = polled_.back();
  who_[at] = who_.back();
  polled_.pop_back();
  who_.pop_back();
}

inline void Poll::arm(int fd, short events) {
  pollfd& polled = polled_[place(fd)];
  polled.fd = fd;
  polled.events = static_cast<short>(polled.events | events);
}

/// poll(2) is level-triggered: what was told and is not used up would be told without end. POLLHUP
/// and POLLERR are told without being asked for, unless the descriptor is negative.
inline void Poll::told(std::size_t at, short events) {
  pollfd& polled = polled_[at];
  polled.events = static_cast<short>(polled.events & ~events);
  if ((events & (POLLHUP | POLLERR)) != 0) polled.fd = ~polled.fd;
}

inline int Poll::wait(Nanos timeout) {
  const timespec exactly{.tv_sec = timeout / kSecond, .tv_nsec = timeout % kSecond};
  int left =
      ::ppoll(polled_.data(), polled_.size(), timeout == kNever ? nullptr : &exactly, nullptr);
  ready_.clear();
  for (std::size_t at = 0; left > 0; ++at) {
    const short events = polled_[at].revents;
    if (events == 0) continue;
    --left;
    ready_.push_back({who_[at].tag, static_cast<std::uint16_t>(events)});
    if (!who_[at].level) told(at, events);
  }
  return static_cast<int>(ready_.size());
}

using PollEngine = ReadinessEngine<Poll>;
static_assert(Engine<PollEngine>);

}  // namespace net
