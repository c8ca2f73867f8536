// One connection of the load generator: where it is in the payload, what it waits for, and when
// each outstanding message was due and was handed to the kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/engine.h"

namespace loadgen {

struct Connection {
  /// A stream that went wrong, kept from its first wrong byte on until the fault can be named.
  struct Suspect {
    std::vector<std::byte> received;
  };

  enum class State : std::uint8_t { kConnecting, kOpen, kReplaced, kLost, kClosed };

  net::ConnId id;
  std::uint32_t send_at = 0;  // positions in the payload
  std::uint32_t receive_at = 0;
  std::uint32_t received = 0;     // bytes of the oldest outstanding message that have come
  std::uint32_t outstanding = 0;  // messages
  std::uint32_t oldest = 0;       // its index among the stamps
  std::uint32_t warmup = 0;       // how many of the outstanding ones are no samples
  std::uint64_t unsent = 0;       // bytes of outstanding messages not yet given to the engine
  net::Nanos sent_at = 0;         // of the oldest, where it shares its stamp with the one before
  std::size_t source_set = 0;     // where its address is from (source_addresses.h)
  std::uint64_t left = 0;         // messages that it may still send in its life
  net::Nanos connect_at = 0;      // when its connect was asked for
  std::uint32_t attempt = 0;      // at making a lost one anew (back_off.h); 0: it is none
  std::unique_ptr<Suspect> suspect;
  State state = State::kConnecting;
  bool sending = false;
  bool replaces = false;         // another one, whose life was over or that was lost
  bool oldest_is_wrong = false;  // counted as corrupt, so it is no sample
};

struct SendStamp {
  /// Handed over together with the message before.
  static constexpr net::Nanos kWithPrevious = -1;

  net::Nanos sent = 0;  // when it was handed to the kernel
  net::Nanos due = 0;   // when it should have been: by the schedule, or as soon as it could
};

/// When messages were sent: a ring of `pipeline` stamps per connection, in one allocation.
class SendStamps {
 public:
  explicit SendStamps(std::size_t pipeline) : pipeline_(static_cast<std::uint32_t>(pipeline)) {}

  void make_room(std::size_t connections) {
    if (stamps_.size() < connections * pipeline_) stamps_.resize(connections * pipeline_);
  }

  /// A closed loop begins: every message that may be outstanding should be.
  void all_due(net::Nanos t) {
    for (SendStamp& stamp : stamps_) stamp.due = t;
  }

  std::uint32_t after(std::uint32_t index, std::uint32_t by) const {
    const std::uint32_t next = index + by;
    return next < pipeline_ ? next : next - pipeline_;
  }

  /// Valid until make_room().
  SendStamp& at(std::uint32_t connection, std::uint32_t index) {
    return stamps_[std::size_t{connection} * pipeline_ + index];
  }

 private:
  std::uint32_t pipeline_;
  std::vector<SendStamp> stamps_;
};

}  // namespace loadgen
