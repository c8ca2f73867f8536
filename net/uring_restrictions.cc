#include "net/uring_restrictions.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace net {
namespace {

constexpr std::array<std::uint8_t, 6> kRequests{IORING_OP_ACCEPT,   IORING_OP_CONNECT,
                                                IORING_OP_RECV,     IORING_OP_SEND,
                                                IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL};
constexpr std::uint8_t kRequestFlags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
// What takes a ring apart at its end.
constexpr std::array<std::uint8_t, 2> kRegistrations{IORING_UNREGISTER_PBUF_RING,
                                                     IORING_UNREGISTER_RING_FDS};

io_uring_restriction restriction(std::uint16_t kind, std::uint8_t what) {
  io_uring_restriction result{};
  result.opcode = kind;
  result.sqe_op = what;  // a union of three that are one byte each
  return result;
}

/// io_uring_register(2). liburing declares functions for both, and 2.3 does not export them.
int register_with(const io_uring* ring, unsigned what, const void* items, std::size_t count) {
  return ::syscall(SYS_io_uring_register, ring->ring_fd, what, items, count) < 0 ? -errno : 0;
}

}  // namespace

int restrict_and_enable(io_uring* ring) {
  std::vector<io_uring_restriction> allowed;
  allowed.reserve(kRequests.size() + kRegistrations.size() + 1);
  for (const std::uint8_t request : kRequests) {
    allowed.push_back(restriction(IORING_RESTRICTION_SQE_OP, request));
  }
  for (const std::uint8_t registration : kRegistrations) {
    allowed.push_back(restriction(IORING_RESTRICTION_REGISTER_OP, registration));
  }
  allowed.push_back(restriction(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, kRequestFlags));
  const int status =
      register_with(ring, IORING_REGISTER_RESTRICTIONS, allowed.data(), allowed.size());
  return status != 0 ? status : register_with(ring, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
}

}  // namespace net
