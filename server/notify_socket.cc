#include "server/notify_socket.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "cli/complain.h"

namespace server {
namespace {

net::Fd connected_to(std::string_view name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool abstract = name.starts_with('@');
  if (!abstract && !name.starts_with('/')) return errno = EAFNOSUPPORT, net::Fd();
  if (name.size() >= sizeof address.sun_path) return errno = ENAMETOOLONG, net::Fd();
  std::memcpy(address.sun_path, name.data(), name.size());
  if (abstract) address.sun_path[0] = '\0';

  net::Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  constexpr timeval kPatience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return net::Fd();
  return fd;
}

void complain(const char* what, int error) {
  cli::complain("echo-server", std::string("NOTIFY_SOCKET: ") + what + ": " + std::strerror(error));
}

}  // namespace

NotifySocket::NotifySocket(const char* name) {
  if (name == nullptr) return;
  fd_ = connected_to(name);
  if (!fd_) complain("nobody will be told", errno);
}

// write(2), for it is what --sandbox=strict leaves.
void NotifySocket::tell(std::string_view lines) const noexcept {
  if (fd_ && ::write(fd_.get(), lines.data(), lines.size()) < 0) complain("not told", errno);
}

}  // namespace server
