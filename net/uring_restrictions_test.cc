// A restricted ring serves as before, and refuses what the engine never asks for.
#include <gtest/gtest.h>

#ifdef ECHOBENCH_URING

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <functional>

#include "net/fd.h"
#include "net/socket.h"
#include "net/uring_features.h"
#include "net/uring_restrictions.h"

namespace net::test {
namespace {

class UringRestrictions : public ::testing::Test {
 protected:
  void SetUp() override {
    UringFeatures features;
    try {
      features = probe_uring();
    } catch (const BackendUnavailable& unavailable) {
      GTEST_SKIP() << unavailable.what();
    }
    features.restricted = true;
    io_uring_params params{};
    params.flags = features.setup_flags();
    params.cq_entries = 64;
    made_ = io_uring_queue_init_params(8, &ring_, &params) == 0;
    ASSERT_TRUE(made_);
    ASSERT_EQ(restrict_and_enable(&ring_), 0);
  }
  void TearDown() override {
    if (made_) io_uring_queue_exit(&ring_);
  }

  /// The result of one request.
  int run(const std::function<void(io_uring_sqe*)>& fill) {
    fill(io_uring_get_sqe(&ring_));
    io_uring_cqe* cqe = nullptr;
    io_uring_submit_and_wait(&ring_, 1);
    if (io_uring_peek_cqe(&ring_, &cqe) != 0) return 1;
    const int result = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    return result;
  }

  io_uring ring_{};
  bool made_ = false;
};

TEST_F(UringRestrictions, OpensNoFile) {
  const auto open = [](io_uring_sqe* sqe) {
    io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
  };
  EXPECT_EQ(run(open), -EACCES);
}

TEST_F(UringRestrictions, MakesNoSocket) {
  const auto make = [](io_uring_sqe* sqe) {
    io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM, 0, 0);
  };
  EXPECT_EQ(run(make), -EACCES);
}

TEST_F(UringRestrictions, ReadsNoDescriptor) {
  char byte = 0;
  const Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const auto read = [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, zero.get(), &byte, 1, 0); };
  EXPECT_EQ(run(read), -EACCES);
}

TEST_F(UringRestrictions, LinksNothing) {
  const auto cancel = [](io_uring_sqe* sqe) {
    io_uring_prep_cancel64(sqe, 1, 0);
    sqe->flags |= IOSQE_IO_LINK;
  };
  EXPECT_EQ(run(cancel), -EACCES);
}

TEST_F(UringRestrictions, RegistersNoFiles) {
  const int fd = 0;
  EXPECT_EQ(io_uring_register_files(&ring_, &fd, 1), -EACCES);
}

TEST_F(UringRestrictions, DoesWhatTheEngineAsksFor) {
  const auto cancel = [](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, 1, 0); };
  EXPECT_EQ(run(cancel), -ENOENT);
}

TEST_F(UringRestrictions, HasNoKernelThread) { EXPECT_EQ(ring_.flags & IORING_SETUP_SQPOLL, 0U); }

}  // namespace
}  // namespace net::test

#endif
