#include "server/syscall_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <system_error>
#include <utility>
#include <vector>

namespace server {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kArchitecture = 0;
#endif

/// A call that may be made: with any arguments, or where (argument & mask) == value.
struct Call {
  long number;
  unsigned argument = 0;
  std::uint32_t mask = 0;  // 0: with any
  std::uint32_t value = 0;
};

// What libc makes of memory, locks, time and the end; and what every engine does with a connection.
// The ioctls are unread_bytes() and unacknowledged_bytes() (net/socket.h).
constexpr std::initializer_list<Call> kAlways{
    {SYS_read},
    {SYS_pread64},
    {SYS_write},
    {SYS_close},
    {SYS_shutdown},
    {SYS_getsockopt},
    {SYS_ioctl, 1, ~0U, SIOCINQ},
    {SYS_ioctl, 1, ~0U, SIOCOUTQ},
    {SYS_mmap, 2, PROT_EXEC, 0},
    {SYS_mprotect, 2, PROT_EXEC, 0},
    {SYS_munmap},
    {SYS_mremap},
    {SYS_madvise},
    {SYS_brk},
    {SYS_futex},
    {SYS_sched_yield},
    {SYS_clock_gettime},
    {SYS_rt_sigprocmask},
    {SYS_rt_sigreturn},
    {SYS_restart_syscall},
    {SYS_exit},
    {SYS_exit_group},
};

constexpr std::initializer_list<Call> kWithoutRing{
    {SYS_accept4},    {SYS_recvfrom},    {SYS_sendto},       {SYS_ppoll},
    {SYS_epoll_ctl},  {SYS_epoll_pwait}, {SYS_epoll_pwait2},
#ifdef SYS_epoll_wait
    {SYS_epoll_wait},
#endif
};

// A thread of this process, never another process (CLONE_THREAD); with the first one libc sets a
// handler of its own.
constexpr std::initializer_list<Call> kThreads{
    {SYS_clone, 0, CLONE_THREAD, CLONE_THREAD},
    {SYS_set_robust_list},
    {SYS_rseq},
    {SYS_rt_sigaction},
    {SYS_sched_getaffinity},
};

// What a ring does is restricted by the ring (net/uring_restrictions.h).
constexpr std::initializer_list<Call> kRing{{SYS_io_uring_enter}, {SYS_io_uring_register}};

constexpr std::initializer_list<Call> kRelay{
    {SYS_socket, 1, 0xff, SOCK_STREAM},
    {SYS_connect},
    {SYS_setsockopt},
    {SYS_getsockname},
    {SYS_getpeername},
};

/// Where an argument's lower half stands: first, on either architecture.
constexpr std::size_t offset_of_argument(unsigned number) {
  return offsetof(seccomp_data, args) + number * sizeof(std::uint64_t);
}

/// The program that the kernel runs at each call (linux/filter.h).
class Filter {
 public:
  Filter() {
    load(offsetof(seccomp_data, arch));
    skip_unless(kArchitecture, 1);
    skip(1);
    end_with(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
  }

  void allow(std::initializer_list<Call> calls) {
    for (const Call& call : calls) allow(call);
  }

  void refuse(long number, int error) {
    skip_unless(static_cast<std::uint32_t>(number), 1);
    end_with(SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error));
  }

  std::vector<sock_filter> finished() && {
    end_with(SECCOMP_RET_ERRNO | EPERM);
    return std::move(code_);
  }

 private:
  void allow(const Call& call) {
    const auto number = static_cast<std::uint32_t>(call.number);
    if (call.mask == 0) {
      skip_unless(number, 1);
      return end_with(SECCOMP_RET_ALLOW);
    }
    skip_unless(number, 5);
    load(offset_of_argument(call.argument));
    code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, call.mask));
    skip_unless(call.value, 1);
    end_with(SECCOMP_RET_ALLOW);
    load(offsetof(seccomp_data, nr));
  }

  void load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  void skip_unless(std::uint32_t value, std::uint8_t instructions) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, instructions));
  }
  void skip(std::uint32_t instructions) {
    code_.push_back(BPF_STMT(BPF_JMP | BPF_JA, instructions));
  }
  void end_with(std::uint32_t verdict) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, verdict)); }

  std::vector<sock_filter> code_;
};

Filter filter_for(net::Backend backend, bool connects) {
  Filter filter;
  filter.allow(kAlways);
  filter.allow(backend == net::Backend::kUring ? kRing : kWithoutRing);
  if (backend == net::Backend::kBlocking) {
    filter.refuse(SYS_clone3, ENOSYS);  // its flags stand where a filter can't look: libc falls
    filter.allow(kThreads);             // back on clone
  }
  if (connects) filter.allow(kRelay);
  return filter;
}

}  // namespace

std::string restrict_calls(net::Backend backend, bool connects) {
  if (kArchitecture == 0) return "the system calls of this architecture are not known";
  std::vector<sock_filter> code = filter_for(backend, connects).finished();
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0) {
    return "";
  }
  return "seccomp is not usable: " + std::generic_category().message(errno);
}

}  // namespace server
