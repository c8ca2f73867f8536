// The connections of one engine, by slot. A slot's generation changes each time it is freed, so an
// id kept too long finds nothing instead of somebody else's connection.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/engine.h"

namespace net {

/// `Conn` is default-constructible and has a member `std::uint32_t generation`. References stay
/// valid until their slot is freed. Memory grows by blocks and is kept for the next connection.
template <class Conn>
class ConnTable {
 public:
  /// Takes the slot freed last: its memory is the most likely still in the cache. Where there is no
  /// memory for more slots, std::bad_alloc leaves all as it was.
  ConnId add() {
    if (free_.empty()) grow();
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return {slot, (*this)[slot].generation};
  }

  void free(ConnId id) {
    Conn& conn = (*this)[id.slot];
    const std::uint32_t next = conn.generation == kLastGeneration ? 1 : conn.generation + 1;
    conn = Conn{};
    conn.generation = next;
    free_.push_back(id.slot);
  }

  /// The connection, or nullptr where it has ended.
  Conn* find(ConnId id) {
    if (id.slot >= slots_) return nullptr;
    Conn& conn = (*this)[id.slot];
    return conn.generation == id.generation ? &conn : nullptr;
  }
  const Conn* find(ConnId id) const { return const_cast<ConnTable*>(this)->find(id); }

  Conn& operator[](std::uint32_t slot) { return blocks_[slot / kBlock][slot % kBlock]; }

  std::uint32_t slots() const { return slots_; }
  /// What a list with a place for every slot has to hold after one more add(): doubled where it is
  /// too little, so that the list moves rarely and what it does not use yet is never touched.
  std::size_t places() const {
    return std::bit_ceil(std::size_t{slots_} + (free_.empty() ? kBlock : 0));
  }
  std::uint32_t used() const { return slots_ - static_cast<std::uint32_t>(free_.size()); }

  /// io_uring's user_data has 28 bits for it.
  static constexpr std::uint32_t kLastGeneration = (1U << 28) - 1;

 private:
  static constexpr std::uint32_t kBlock = 256;

  void grow() {
    const std::uint32_t first = slots_;
    free_.reserve(first + kBlock);
    blocks_.push_back(std::make_unique<Conn[]>(kBlock));
    slots_ += kBlock;
    for (std::uint32_t i = kBlock; i-- > 0;) {
      blocks_.back()[i].generation = 1;
      free_.push_back(first + i);
    }
  }

  std::vector<std::unique_ptr<Conn[]>> blocks_;
  std::uint32_t slots_ = 0;
  std::vector<std::uint32_t> free_;
};

}  // namespace net
