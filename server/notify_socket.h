// What a service manager is told of this server's life, by datagrams to the socket that
// NOTIFY_SOCKET names: READY=1, STOPPING=1, STATUS=... (sd_notify(3)).
#pragma once

#include <string_view>

#include "net/fd.h"

namespace server {

class NotifySocket {
 public:
  /// Tells nobody.
  NotifySocket() = default;

  /// Connects now, for later there may be no right to: to a path, or to an abstract name behind '@'
  /// (unix(7)); null: to nobody. What fails is said on stderr, and the server serves without.
  explicit NotifySocket(const char* name);

  /// Lines such as "READY=1\nSTATUS=...". Waits a second at most for a manager who does not read.
  void tell(std::string_view lines) const noexcept;

 private:
  net::Fd fd_;
};

}  // namespace server
