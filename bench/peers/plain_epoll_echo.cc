// The echo on epoll as textbooks have it: level-triggered, one recv into one buffer for all, send
// at once; what does not go waits in a buffer of the connection's, which is not read from
// meanwhile. Usage: plain_epoll_echo PORT
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

constexpr std::size_t kBufferSize = 64 * 1024;

std::vector<char> buffer(kBufferSize);
std::unordered_map<int, std::string> unsent;

[[noreturn]] void fail(const char* call) {
  std::perror(call);
  std::exit(1);
}

void watch(int poll, int operation, int fd, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  if (::epoll_ctl(poll, operation, fd, &event) != 0) fail("epoll_ctl");
}

void end(int fd) {
  unsent.erase(fd);
  ::close(fd);
}

void accept_one(int poll, int listener) {
  const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) watch(poll, EPOLL_CTL_ADD, fd, EPOLLIN);
}

/// What the kernel took; -1 where the connection has ended.
ssize_t send_some(int fd, const char* bytes, std::size_t count) {
  const ssize_t sent = ::send(fd, bytes, count, MSG_NOSIGNAL);
  return sent < 0 && errno == EAGAIN ? 0 : sent;
}

void readable(int poll, int fd) {
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return end(fd);
  const auto count = static_cast<std::size_t>(got);
  const ssize_t sent = send_some(fd, buffer.data(), count);
  if (sent < 0) return end(fd);
  if (sent == got) return;
  unsent[fd].assign(buffer.data() + sent, count - static_cast<std::size_t>(sent));
  watch(poll, EPOLL_CTL_MOD, fd, EPOLLOUT);
}

void writable(int poll, int fd) {
  std::string& rest = unsent[fd];
  const ssize_t sent = send_some(fd, rest.data(), rest.size());
  if (sent < 0) return end(fd);
  rest.erase(0, static_cast<std::size_t>(sent));
  if (!rest.empty()) return;
  unsent.erase(fd);
  watch(poll, EPOLL_CTL_MOD, fd, EPOLLIN);
}

int listen_on(std::uint16_t port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("bind");
  }
  if (::listen(listener, 4096) != 0) fail("listen");
  return listener;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: plain_epoll_echo PORT\n", stderr);
    return 2;
  }
  const int listener = listen_on(static_cast<std::uint16_t>(std::strtoul(argv[1], nullptr, 10)));
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  watch(poll, EPOLL_CTL_ADD, listener, EPOLLIN);
  std::array<epoll_event, 256> events;
  for (;;) {
    const int ready = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.fd == listener) {
        accept_one(poll, listener);
      } else if ((event.events & EPOLLOUT) != 0) {
        writable(poll, event.data.fd);
      } else {
        readable(poll, event.data.fd);
      }
    }
  }
}
