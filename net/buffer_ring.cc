#include "net/buffer_ring.h"

#include <sys/mman.h>

#include <bit>
#include <cerrno>
#include <system_error>

namespace net {
namespace {

void* map(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(), "no memory for receive buffers");
  }
  return memory;
}

}  // namespace

BufferRing::BufferRing(io_uring* ring, std::uint16_t group, unsigned count, std::size_t size)
    : owner_(ring),
      group_(group),
      count_(count),
      entries_(std::bit_ceil(count)),
      mask_(io_uring_buf_ring_mask(entries_)),
      size_(size),
      shift_(std::countr_zero(size)),
      memory_(static_cast<std::byte*>(map(count * size))),
      end_(memory_ + count * size),
      ring_(static_cast<io_uring_buf_ring*>(map(entries_ * sizeof(io_uring_buf)))) {
  io_uring_buf_reg reg{};
  reg.ring_addr = reinterpret_cast<std::uintptr_t>(ring_);
  reg.ring_entries = entries_;
  reg.bgid = group;
  if (const int status = io_uring_register_buf_ring(owner_, &reg, 0); status != 0) {
    ::munmap(memory_, count_ * size_);
    ::munmap(ring_, entries_ * sizeof(io_uring_buf));
    throw std::system_error(-status, std::generic_category(), "io_uring_register_buf_ring");
  }
  io_uring_buf_ring_init(ring_);
  for (unsigned i = 0; i < count; ++i) {
    lend(static_cast<std::uint16_t>(i), static_cast<int>(i));
  }
  io_uring_buf_ring_advance(ring_, static_cast<int>(count));
}

BufferRing::~BufferRing() {
  io_uring_unregister_buf_ring(owner_, group_);
  ::munmap(ring_, entries_ * sizeof(io_uring_buf));
  ::munmap(memory_, count_ * size_);
}

}  // namespace net
