// What is sent, and so what must come back. One block of random bytes, made once and never written
// again: a connection sends it round and round from a place of its own, so that each message is a
// slice of it that stands at no other place. Sending copies nothing, checking is one memcmp, and
// many messages in a row are one slice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "net/engine.h"

namespace loadgen {

class Payload {
 public:
  /// The longest slice that at() gives in one piece.
  static constexpr std::size_t kLongest = 1024 * 1024;

  Payload(std::uint64_t seed, std::size_t message_size);

  std::size_t message_size() const { return message_size_; }

  /// Positions count from 0 to period() - 1, and then begin again. The period is a prime, so the
  /// messages of a connection are all different until it has sent a million of them.
  std::size_t period() const { return period_; }

  /// Where the connection with this number begins; no two of the first million begin alike.
  std::size_t start_of(std::size_t connection) const { return connection * kStride % period_; }

  std::size_t advance(std::size_t position, std::size_t bytes) const {
    const std::size_t next = position + bytes;
    return next < period_ ? next : next % period_;
  }

  /// How far `to` lies behind `from`, going round.
  std::size_t distance(std::size_t from, std::size_t to) const {
    return to >= from ? to - from : to + period_ - from;
  }

  /// `bytes` <= kLongest from `position` on; valid as long as the payload.
  net::Bytes at(std::size_t position, std::size_t bytes) const {
    return {block_.data() + position, bytes};
  }

  /// A position at which these bytes (a handful at least) stand. Reads the whole block.
  std::optional<std::size_t> find(net::Bytes bytes) const;

 private:
  static constexpr std::size_t kStride = 648'055;  // golden section of the period: far apart

  std::size_t message_size_;
  std::size_t period_;
  std::vector<std::byte> block_;
};

}  // namespace loadgen
