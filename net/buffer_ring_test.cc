// Buffers go to the kernel and come back, and none is lost or found twice on the way.
#include <gtest/gtest.h>

#ifdef ECHOBENCH_URING

#include <sys/socket.h>

#include <set>
#include <string>
#include <system_error>

#include "net/buffer_ring.h"
#include "net/testing_peer.h"

namespace net::test {
namespace {

/// A ring with a socket pair to receive from.
class BufferRingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const int status = io_uring_queue_init(8, &ring_, 0);
    if (status != 0) GTEST_SKIP() << "io_uring_setup: " << status;
    std::array<int, 2> fds{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    receiver_ = Fd(fds[0]);
    sender_ = Peer(Fd(fds[1]));
  }
  void TearDown() override {
    if (ring_.ring_fd > 0) io_uring_queue_exit(&ring_);
  }

  io_uring* ring() { return &ring_; }

  /// Receives `text`, or as much of it as a buffer holds.
  io_uring_cqe receive(const BufferRing& buffers, const std::string& text) {
    EXPECT_TRUE(sender_.send(text));
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    io_uring_prep_recv(sqe, receiver_.get(), nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = buffers.group();
    io_uring_submit_and_wait(&ring_, 1);
    io_uring_cqe* cqe = nullptr;
    EXPECT_EQ(io_uring_peek_cqe(&ring_, &cqe), 0);
    const io_uring_cqe result = *cqe;
    io_uring_cqe_seen(&ring_, cqe);
    return result;
  }
  static std::uint16_t buffer_of(const io_uring_cqe& cqe) {
    return static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  }

 private:
  io_uring ring_{};
  Fd receiver_;
  Peer sender_;
};

TEST_F(BufferRingTest, TheKernelFillsWhatItIsLent) {
  BufferRing buffers(ring(), 7, 4, 256);
  EXPECT_EQ(buffers.available(), 4U);
  EXPECT_EQ(buffers.buffer_size(), 256U);
  const io_uring_cqe cqe = receive(buffers, "hello");
  ASSERT_EQ(cqe.res, 5);
  const std::byte* bytes = buffers.take(buffer_of(cqe));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes), 5), "hello");
  EXPECT_EQ(buffers.available(), 3U);
  buffers.give_back(bytes);
  EXPECT_EQ(buffers.available(), 4U);
}

TEST_F(BufferRingTest, ThereIsNoneWhenAllAreTakenUntilOneComesBack) {
  BufferRing buffers(ring(), 0, 3, 64);  // no power of two
  std::set<const std::byte*> taken;
  for (int i = 0; i < 3; ++i) {
    const io_uring_cqe cqe = receive(buffers, "x");
    ASSERT_EQ(cqe.res, 1);
    EXPECT_TRUE(taken.insert(buffers.take(buffer_of(cqe))).second) << "lent twice";
  }
  EXPECT_EQ(buffers.available(), 0U);
  EXPECT_EQ(receive(buffers, "y").res, -ENOBUFS);
  buffers.give_back(*taken.begin());
  const io_uring_cqe cqe = receive(buffers, "z");
  EXPECT_EQ(cqe.res, 2);
  EXPECT_EQ(buffers.take(buffer_of(cqe)), *taken.begin());
}

TEST_F(BufferRingTest, ABufferIsGivenBackByAnyByteOfIt) {
  BufferRing buffers(ring(), 0, 2, 64);
  for (int i = 0; i < 200; ++i) {
    const io_uring_cqe cqe = receive(buffers, "twelve bytes");
    ASSERT_EQ(cqe.res, 12) << i;
    const std::byte* bytes = buffers.take(buffer_of(cqe));
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes), 12), "twelve bytes");
    buffers.give_back(bytes + i % 64);
  }
}

TEST_F(BufferRingTest, OwnsItsMemoryAndNoOther) {
  BufferRing buffers(ring(), 0, 2, 64);
  const BufferRing others(ring(), 1, 2, 64);
  const std::byte* first = buffers.take(0);
  EXPECT_TRUE(buffers.owns(first));
  EXPECT_TRUE(buffers.owns(first + 127));
  EXPECT_FALSE(buffers.owns(first + 128));
  EXPECT_FALSE(buffers.owns(first - 1));
  EXPECT_FALSE(others.owns(first));
  EXPECT_FALSE(buffers.owns(nullptr));
}

TEST_F(BufferRingTest, AGroupThatIsTakenIsAnError) {
  const BufferRing buffers(ring(), 5, 2, 64);
  EXPECT_THROW(BufferRing(ring(), 5, 2, 64), std::system_error);
}

TEST_F(BufferRingTest, AGroupIsFreeAgainAfterwards) {
  for (int i = 0; i < 3; ++i) EXPECT_NO_THROW(BufferRing(ring(), 5, 2, 64));
}

}  // namespace
}  // namespace net::test

#else

TEST(BufferRingTest, IsNotInThisBuild) { GTEST_SKIP() << "built without liburing"; }

#endif
