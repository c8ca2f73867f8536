// What the probe finds, what the environment takes away from it, and what it says where there is no
// io_uring at all.
#include <gtest/gtest.h>

#ifdef ECHOBENCH_URING

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "net/testing_environment.h"
#include "net/uring_features.h"

namespace net::test {
namespace {

/// The probe, or a skip with the reason.
class UringFeaturesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      all_ = probe_uring();
    } catch (const BackendUnavailable& unavailable) {
      GTEST_SKIP() << unavailable.what();
    }
  }
  static UringFeatures without(const char* names) {
    const EnvironmentVariable set("ECHOBENCH_URING_WITHOUT", names);
    return probe_uring();
  }
  const UringFeatures& all() const { return all_; }

 private:
  UringFeatures all_;
};

TEST_F(UringFeaturesTest, NamesEverythingItFound) {
  UringFeatures found;
  EXPECT_EQ(found.names(), (std::vector<std::string>{"cq=0", "buffers=0"}));
  found = {.single_issuer = true,
           .defer_taskrun = true,
           .coop_taskrun = true,
           .submit_all = true,
           .multishot_accept = true,
           .multishot_recv = true,
           .silent_send = true,
           .registered_ring = true,
           .cq_entries = 8,
           .small_buffers = 4,
           .without = {"a_rung", "another"}};
  EXPECT_EQ(found.names(), (std::vector<std::string>{
                               "single_issuer", "defer_taskrun", "coop_taskrun", "submit_all",
                               "multishot_accept", "multishot_recv", "silent_send",
                               "registered_ring", "cq=8", "buffers=4", "without=a_rung,another"}));
}

TEST_F(UringFeaturesTest, SetupFlagsAreThoseOfTheFeatures) {
  UringFeatures found;
  EXPECT_EQ(found.setup_flags(), unsigned{IORING_SETUP_CQSIZE});
  found.submit_all = true;
  EXPECT_EQ(found.setup_flags(), IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL);
  found.single_issuer = found.defer_taskrun = true;
  EXPECT_EQ(found.setup_flags(), IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
                                     IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                     IORING_SETUP_TASKRUN_FLAG);
  found = {};
  found.coop_taskrun = true;
  EXPECT_EQ(found.setup_flags(),
            IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
}

TEST_F(UringFeaturesTest, WhatItFindsSetsUpARing) {
  io_uring ring{};
  io_uring_params params{};
  params.flags = all().setup_flags();
  params.cq_entries = all().cq_entries;
  ASSERT_EQ(io_uring_queue_init_params(64, &ring, &params), 0);
  io_uring_queue_exit(&ring);
}

TEST_F(UringFeaturesTest, TheEnvironmentTakesRungsAway) {
  EXPECT_FALSE(without("silent_send").silent_send);
  EXPECT_FALSE(without("multishot_recv").multishot_recv);
  EXPECT_FALSE(without("multishot_accept").multishot_accept);
  EXPECT_FALSE(without("submit_all").submit_all);
  EXPECT_FALSE(without("defer_taskrun").defer_taskrun);
  EXPECT_FALSE(without("defer_taskrun").multishot_recv);
  const UringFeatures several = without("silent_send,multishot_recv,submit_all");
  EXPECT_FALSE(several.silent_send || several.multishot_recv || several.submit_all);
  EXPECT_EQ(several.multishot_accept, all().multishot_accept);
}

TEST_F(UringFeaturesTest, OneRungTakesNoOtherAway) {
  for (const char* nothing : {"", ",", ",,"}) {
    EXPECT_EQ(without(nothing).names(), all().names()) << nothing;
  }
}

TEST_F(UringFeaturesTest, ARungThatIsNoneIsRefused) {
  for (const char* none : {"silent", "silent_send_", "SILENT_SEND", "silent_send,y", " "}) {
    EXPECT_THROW(without(none), std::invalid_argument) << none;
  }
}

TEST_F(UringFeaturesTest, SaysWhatWasTakenAway) {
  EXPECT_EQ(without("silent_send").names().back(), "without=silent_send");
  EXPECT_EQ(without("submit_all,,silent_send").names().back(), "without=submit_all,silent_send");
}

TEST_F(UringFeaturesTest, EverythingButTheBuffersCanBeTakenAway) {
  const UringFeatures least = without(
      "single_issuer,defer_taskrun,coop_taskrun,submit_all,multishot_accept,multishot_recv,"
      "registered_ring,silent_send");
  EXPECT_EQ(least.setup_flags(), unsigned{IORING_SETUP_CQSIZE});
  EXPECT_EQ(least.names().size(), 3U) << "the sizes, and what was taken away";
}

TEST_F(UringFeaturesTest, DeferTaskrunNeedsSingleIssuer) {
  const UringFeatures found = without("single_issuer");
  EXPECT_FALSE(found.single_issuer);
  EXPECT_FALSE(found.defer_taskrun);
}

TEST_F(UringFeaturesTest, CoopTaskrunIsForThoseWithoutDeferTaskrun) {
  EXPECT_FALSE(all().defer_taskrun && all().coop_taskrun);
  if (!all().defer_taskrun) GTEST_SKIP() << "no defer_taskrun in this kernel";
  EXPECT_TRUE(without("defer_taskrun").coop_taskrun);
  EXPECT_FALSE(without("defer_taskrun,coop_taskrun").coop_taskrun);
}

TEST_F(UringFeaturesTest, TheEnvironmentShrinksTheQueues) {
  const EnvironmentVariable cq("ECHOBENCH_URING_CQ", "8");
  const EnvironmentVariable buffers("ECHOBENCH_URING_BUFFERS", "3");
  EXPECT_EQ(probe_uring().cq_entries, 8U);
  EXPECT_EQ(probe_uring().small_buffers, 3U);
}

TEST_F(UringFeaturesTest, QueueSizesThatAreNoneChangeNothing) {
  for (const char* value : {"", "0", "-1", "many", "32769", "99999999999999999999"}) {
    const EnvironmentVariable cq("ECHOBENCH_URING_CQ", value);
    const EnvironmentVariable buffers("ECHOBENCH_URING_BUFFERS", value);
    EXPECT_EQ(probe_uring().cq_entries, all().cq_entries) << value;
    EXPECT_EQ(probe_uring().small_buffers, all().small_buffers) << value;
  }
}

TEST_F(UringFeaturesTest, LeavesNoDescriptorBehind) {
  const auto next_fd = [] { return Fd(::eventfd(0, EFD_CLOEXEC)).get(); };
  const int before = next_fd();
  probe_uring();
  EXPECT_EQ(next_fd(), before);
}

// ---- where there is none

std::string why_unavailable() {
  try {
    return "found: " + probe_uring().names().front();
  } catch (const BackendUnavailable& unavailable) {
    return unavailable.what();
  }
}

TEST_F(UringFeaturesTest, SaysThatTheKernelIsTooOld) {
  const EnvironmentVariable old("ECHOBENCH_URING_WITHOUT", "buffer_rings");
  EXPECT_NE(why_unavailable().find("5.19"), std::string::npos) << why_unavailable();
}

/// Makes io_uring_setup fail with this error, as containers do; it can't be taken back.
void forbid_io_uring(int error) {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(rules), .filter = rules};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::fputs("seccomp filter refused: no seccomp here\n", stderr);
  }
}

[[noreturn]] void print_why_unavailable_after(int error) {
  forbid_io_uring(error);
  std::fputs(why_unavailable().c_str(), stderr);
  std::_Exit(0);
}

TEST(UringFeaturesDeathTest, SaysThatAFilterMayForbidIt) {
  EXPECT_EXIT(print_why_unavailable_after(EPERM), ::testing::ExitedWithCode(0), "seccomp");
}

TEST(UringFeaturesDeathTest, SaysThatTheKernelMayHaveNone) {
  EXPECT_EXIT(print_why_unavailable_after(ENOSYS), ::testing::ExitedWithCode(0),
              "no io_uring in this kernel");
}

TEST(UringFeaturesDeathTest, SaysThatMemoryMayBeShort) {
  EXPECT_EXIT(print_why_unavailable_after(ENOMEM), ::testing::ExitedWithCode(0), "RLIMIT_MEMLOCK");
}

}  // namespace
}  // namespace net::test

#else

TEST(UringFeaturesTest, IsNotInThisBuild) { GTEST_SKIP() << "built without liburing"; }

#endif
