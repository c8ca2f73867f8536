// Readiness by epoll(7), edge-triggered: a connection is registered once, so the steady state has
// no epoll_ctl, and asking costs the same however many connections are idle. With level triggering
// the kernel would look at each ready socket once more per message, only to find it empty.
#pragma once

#include <sys/epoll.h>

#include <array>

#include "net/readiness_engine.h"

namespace net {

class Epoll {
 public:
  static constexpr const char* kName = "epoll";

  Epoll() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  }

  bool add(int fd, std::uint64_t tag, bool writable) {
    return control(EPOLL_CTL_ADD, fd, tag, kEdges | (writable ? std::uint32_t{EPOLLOUT} : 0U));
  }
  bool watch_writable(int fd, std::uint64_t tag) {
    return control(EPOLL_CTL_MOD, fd, tag, kEdges | EPOLLOUT);
  }
  void rearm_readable(int) {}  // an edge comes by itself
  void rearm_writable(int) {}
  void remove(int) {}  // close(2) does it

  bool add_level(int fd, std::uint64_t tag) { return control(EPOLL_CTL_ADD, fd, tag, EPOLLIN); }
  bool set_level(int fd, std::uint64_t tag, bool told) {
    return control(EPOLL_CTL_MOD, fd, tag, told ? std::uint32_t{EPOLLIN} : 0U);
  }

  int wait(Nanos timeout);
  Ready ready(int i) const {
    const epoll_event& event = events_[static_cast<std::size_t>(i)];
    return {event.data.u64, event.events};
  }

 private:
  static constexpr std::uint32_t kEdges = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  static constexpr int kEvents = 256;

  bool control(int operation, int fd, std::uint64_t tag, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = tag}};
    return ::epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
  }

  Fd epoll_;
  std::array<epoll_event, kEvents> events_;
};

inline int Epoll::wait(Nanos timeout) {
  constexpr Nanos kLongest = 3600 * kSecond;
  if (timeout == 0 || timeout == kNever) {
    const int milliseconds = timeout == 0 ? 0 : -1;
    return std::max(0, ::epoll_wait(epoll_.get(), events_.data(), kEvents, milliseconds));
  }
  const timespec exactly{.tv_sec = timeout / kSecond, .tv_nsec = timeout % kSecond};
  int ready = ::epoll_pwait2(epoll_.get(), events_.data(), kEvents, &exactly, nullptr);
  if (ready < 0 && errno == ENOSYS) {  // before Linux 5.11
    const Nanos up = std::min(timeout, kLongest) + kMillisecond - 1;
    ready =
        ::epoll_wait(epoll_.get(), events_.data(), kEvents, static_cast<int>(up / kMillisecond));
  }
  return std::max(0, ready);
}

using EpollEngine = ReadinessEngine<Epoll>;
static_assert(Engine<EpollEngine>);

}  // namespace net
