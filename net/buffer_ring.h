// A group of receive buffers lent to the kernel (IORING_REGISTER_PBUF_RING, Linux 5.19): it picks
// one when data is there, so a connection that waits holds none.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace net {

class BufferRing {
 public:
  /// Registers `count` buffers of `size` bytes (a power of two) as group `group` of `ring`, which
  /// must outlive this. All memory is touched now, so that load does not look like a leak later.
  /// Throws std::system_error.
  BufferRing(io_uring* ring, std::uint16_t group, unsigned count, std::size_t size);
  ~BufferRing();
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  std::uint16_t group() const { return group_; }
  std::size_t buffer_size() const { return size_; }

  /// Buffers that the kernel could take now.
  unsigned available() const { return available_; }

  /// The kernel has used a buffer, named by a completion.
  std::byte* take(std::uint16_t buffer) {
    --available_;
    return at(buffer);
  }

  bool owns(const std::byte* at) const {
    const std::less<> before;
    return !before(at, memory_) && before(at, end_);
  }

  /// Returns the buffer in which `at` lies; the kernel sees it at once, as it shares the memory.
  void give_back(const std::byte* at) {
    lend(static_cast<std::uint16_t>((at - memory_) >> shift_));
    io_uring_buf_ring_advance(ring_, 1);
  }

 private:
  std::byte* at(std::uint16_t buffer) const { return memory_ + (std::size_t{buffer} << shift_); }
  void lend(std::uint16_t buffer, int offset = 0) {
    io_uring_buf_ring_add(ring_, at(buffer), static_cast<unsigned>(size_), buffer, mask_, offset);
    ++available_;
  }

  io_uring* owner_;
  std::uint16_t group_;
  unsigned count_;
  unsigned entries_;  // slots of the shared ring: a power of two
  int mask_;
  std::size_t size_;
  int shift_;  // size_ = 1 << shift_
  unsigned available_ = 0;
  std::byte* memory_ = nullptr;
  std::byte* end_ = nullptr;
  io_uring_buf_ring* ring_ = nullptr;
};

}  // namespace net
