// What clients needed and none needs any more: the C library keeps it for the next ones, and a
// server that thousands of slow readers have left would hold tens of megabytes for nobody.
#pragma once

#include "net/clock.h"

namespace server {

class SpareMemory {
 public:
  /// Gives it back to the kernel once a server has had no client for a second, so that clients who
  /// come and go one by one do not pay for it. Asked after each batch; `now` tells the time where
  /// it is needed. Returns when to ask again.
  template <class Now>
  net::Nanos give_back(bool has_clients, Now&& now) {
    if (has_clients) {
      had_clients_ = true;
      alone_until_ = net::kNever;
    } else if (had_clients_) {
      const net::Nanos at = now();
      if (alone_until_ == net::kNever) alone_until_ = at + net::kSecond;
      if (at >= alone_until_) {
        return_to_kernel();
        had_clients_ = false;
        alone_until_ = net::kNever;
      }
    }
    return alone_until_;
  }

 private:
  static void return_to_kernel();

  bool had_clients_ = false;
  net::Nanos alone_until_ = net::kNever;
};

}  // namespace server
