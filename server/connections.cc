#include "server/connections.h"

namespace server {

void Connections::add(net::ConnId id) {
  if (id.slot >= entries_.size()) entries_.resize(id.slot + 1);
  Entry& entry = entries_[id.slot];
  entry = Entry{};
  entry.generation = id.generation;
  entry.active_ms = now_ms_ & kTimeMask;
  append(id.slot);
  ++count_;
}

bool Connections::remove(net::ConnId id) {
  if (id.slot >= entries_.size() || entries_[id.slot].generation != id.generation) return false;
  unlink(id.slot);
  entries_[id.slot] = Entry{};
  --count_;
  return true;
}

net::ConnId Connections::idle(net::Nanos now, net::Nanos timeout, net::Nanos& next_at) const {
  next_at = net::kNever;
  if (timeout == net::kNever) return {};
  next_at = now + timeout;
  if (oldest_ == kNone) return {};
  const Entry& entry = entries_[oldest_];
  const auto now_ms = static_cast<std::uint32_t>(now / net::kMillisecond);
  const net::Nanos silent = ((now_ms - entry.active_ms) & kTimeMask) * net::kMillisecond;
  if (silent >= timeout) return {oldest_, entry.generation};
  next_at = now + timeout - silent;
  return {};
}

void Connections::append(std::uint32_t slot) {
  Entry& entry = entries_[slot];
  entry.previous = newest_;
  entry.next = kNone;
  (newest_ == kNone ? oldest_ : entries_[newest_].next) = slot;
  newest_ = slot;
}

void Connections::unlink(std::uint32_t slot) {
  const Entry& entry = entries_[slot];
  (entry.previous == kNone ? oldest_ : entries_[entry.previous].next) = entry.next;
  (entry.next == kNone ? newest_ : entries_[entry.next].previous) = entry.previous;
}

}  // namespace server
