#include "loadgen/payload.h"

#include <cstring>

#include "loadgen/split_mix.h"

namespace loadgen {
namespace {

// A message as long as the period would be the same each time; there is another prime for it.
constexpr std::size_t kPeriod = 1'048'573;
constexpr std::size_t kOtherPeriod = 1'048'571;

}  // namespace

Payload::Payload(std::uint64_t seed, std::size_t message_size)
    : message_size_(message_size),
      period_(message_size % kPeriod != 0 ? kPeriod : kOtherPeriod),
      block_(period_ + kLongest) {
  SplitMix numbers(seed);
  for (std::size_t at = 0; at < period_; at += sizeof(std::uint64_t)) {
    const std::uint64_t random = numbers.next();
    std::memcpy(block_.data() + at, &random, sizeof random);  // the last runs into the tail
  }
  for (std::size_t at = 0; at < kLongest; ++at) block_[period_ + at] = block_[at];
}

std::optional<std::size_t> Payload::find(net::Bytes bytes) const {
  const void* found = ::memmem(block_.data(), period_ + bytes.size(), bytes.data(), bytes.size());
  if (found == nullptr) return std::nullopt;
  const auto position =
      static_cast<std::size_t>(static_cast<const std::byte*>(found) - block_.data());
  return position % period_;
}

}  // namespace loadgen
