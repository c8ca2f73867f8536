// The server's own book of its connections: how many, which are silent for too long, and to whom it
// still owes bytes when it is told to end. 16 bytes each; every event costs O(1).
#pragma once

#include <cstdint>
#include <vector>

#include "net/clock.h"
#include "net/engine.h"

namespace server {

class Connections {
 public:
  explicit Connections(std::uint32_t limit) : limit_(limit) {}

  std::uint32_t count() const { return count_; }
  bool full() const { return count_ >= limit_; }

  void add(net::ConnId id);
  /// Returns false where the connection was never added.
  bool remove(net::ConnId id);

  /// The connection has moved bytes: it becomes the last to be idle. Touches two neighbours, so it
  /// is for those only who ask idle().
  void moved(net::ConnId id) {
    entries_[id.slot].active_ms = now_ms_ & kTimeMask;
    if (newest_ == id.slot) return;
    unlink(id.slot);
    append(id.slot);
  }

  /// Whether bytes that it sent are on their way back.
  void set_owed(net::ConnId id, bool owed) { entries_[id.slot].owed = owed; }
  bool owed(net::ConnId id) const { return entries_[id.slot].owed; }
  /// FIN was sent; remembered so that it is sent once.
  bool finished(net::ConnId id) const { return entries_[id.slot].finished; }
  void set_finished(net::ConnId id) { entries_[id.slot].finished = true; }

  /// The time that moved() and add() take note of.
  void set_time(net::Nanos now) { now_ms_ = static_cast<std::uint32_t>(now / net::kMillisecond); }

  /// The connection that was silent for the longest, where that is `timeout` or more; else one with
  /// generation 0. `next_at` is when to ask again.
  net::ConnId idle(net::Nanos now, net::Nanos timeout, net::Nanos& next_at) const;

  template <class F>
  void for_each(F&& f) const {
    for (std::uint32_t slot = oldest_; slot != kNone;) {
      const Entry& entry = entries_[slot];
      const std::uint32_t next = entry.next;
      f(net::ConnId{slot, entry.generation});
      slot = next;
    }
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint32_t kTimeMask = (1U << 30) - 1;  // wraps after 12 days

  struct Entry {
    std::uint32_t generation = 0;  // 0: not in use
    std::uint32_t previous = kNone;
    std::uint32_t next = kNone;
    std::uint32_t active_ms : 30 = 0;
    std::uint32_t owed : 1 = 0;
    std::uint32_t finished : 1 = 0;
  };

  void append(std::uint32_t slot);
  void unlink(std::uint32_t slot);

  std::vector<Entry> entries_;
  std::uint32_t oldest_ = kNone;
  std::uint32_t newest_ = kNone;
  std::uint32_t count_ = 0;
  std::uint32_t limit_;
  std::uint32_t now_ms_ = 0;
};

}  // namespace server
