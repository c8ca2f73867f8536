#include "net/uring_features.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <future>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "net/fd.h"

namespace net {
namespace {

constexpr unsigned kDefaultCompletions = 4096;
constexpr unsigned kDefaultSmallBuffers = 512;

// A ring of its own for one question.
class ProbeRing {
 public:
  explicit ProbeRing(unsigned flags, unsigned cq_entries = 16) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE;
    params.cq_entries = cq_entries;
    status_ = io_uring_queue_init_params(8, &ring_, &params);
  }
  ~ProbeRing() {
    if (status_ == 0) io_uring_queue_exit(&ring_);
  }
  ProbeRing(const ProbeRing&) = delete;
  ProbeRing& operator=(const ProbeRing&) = delete;

  int status() const { return status_; }
  io_uring* get() { return &ring_; }

  /// Whether a request that does nothing comes back; the errno where the kernel refuses to be
  /// entered.
  int enter() {
    io_uring_prep_nop(io_uring_get_sqe(&ring_));
    const int status = io_uring_submit_and_wait(&ring_, 1);
    if (status < 0) return -status;
    io_uring_cqe* cqe = nullptr;
    return io_uring_peek_cqe(&ring_, &cqe) == 0 ? 0 : EIO;
  }
  /// Runs what was queued and takes one completion if there is one now.
  bool run(io_uring_cqe& out) {
    if (io_uring_submit_and_get_events(&ring_) < 0) return false;
    io_uring_cqe* cqe = nullptr;
    if (io_uring_peek_cqe(&ring_, &cqe) != 0) return false;
    out = *cqe;
    io_uring_cqe_seen(&ring_, cqe);
    return true;
  }

 private:
  io_uring ring_{};
  int status_ = -1;
};

struct SocketPair {
  SocketPair() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0) return;
    near = Fd(fds[0]);
    far = Fd(fds[1]);
  }
  Fd near, far;
};

constexpr std::array<std::string_view, 9> kRungs{
    "single_issuer",  "defer_taskrun",   "coop_taskrun", "submit_all",  "multishot_accept",
    "multishot_recv", "registered_ring", "silent_send",  "buffer_rings"};

/// A name that is misspelt would measure the same twice, and call it two things.
std::vector<std::string> taken_away() {
  const char* list = std::getenv("ECHOBENCH_URING_WITHOUT");
  std::istringstream rest(list == nullptr ? "" : list);
  std::vector<std::string> names;
  for (std::string name; std::getline(rest, name, ',');) {
    if (name.empty()) continue;
    if (std::ranges::find(kRungs, name) == kRungs.end()) {
      throw std::invalid_argument("ECHOBENCH_URING_WITHOUT: '" + name + "' is no feature");
    }
    names.push_back(name);
  }
  return names;
}

unsigned number_from_environment(const char* name, unsigned fallback, unsigned most) {
  const char* text = std::getenv(name);
  if (text == nullptr) return fallback;
  const unsigned long value = std::strtoul(text, nullptr, 10);
  return value >= 1 && value <= most ? static_cast<unsigned>(value) : fallback;
}

bool sets_up(unsigned flags) { return ProbeRing(flags).status() == 0; }

std::string why_refused(const char* call, int error) {
  int disabled = 0;
  std::ifstream("/proc/sys/kernel/io_uring_disabled") >> disabled;
  if (error == EPERM && disabled != 0) {
    return "io_uring is disabled: kernel.io_uring_disabled=" + std::to_string(disabled);
  }
  std::string reason = std::string(call) + ": " + std::strerror(error);
  if (error == EPERM) reason += " (forbidden by a seccomp filter or container?)";
  if (error == ENOSYS) reason += " (no io_uring in this kernel, or a seccomp filter)";
  if (error == ENOMEM) reason += " (memory or RLIMIT_MEMLOCK)";
  return "io_uring is not usable: " + reason;
}

// 0, or the errno of the attempt.
int provides_buffer_rings(unsigned flags) {
  ProbeRing ring(flags);
  if (ring.status() != 0) return -ring.status();
  void* memory = nullptr;
  if (const int error = ::posix_memalign(&memory, 4096, 4096); error != 0) return error;
  std::memset(memory, 0, 4096);
  io_uring_buf_reg reg{};
  reg.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  reg.ring_entries = 8;
  const int status = io_uring_register_buf_ring(ring.get(), &reg, 0);
  if (status == 0) io_uring_unregister_buf_ring(ring.get(), 0);
  std::free(memory);
  return -status;
}

// A kernel that does not know the flag answers EINVAL at once; one that does waits for a peer.
bool has_multishot_accept(unsigned flags) {
  ProbeRing ring(flags);
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (ring.status() != 0 || !listener ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 ||
      ::listen(listener.get(), 1) != 0) {
    return false;
  }
  io_uring_prep_multishot_accept(io_uring_get_sqe(ring.get()), listener.get(), nullptr, nullptr, 0);
  io_uring_cqe refused{};
  return !ring.run(refused);
}

bool has_multishot_recv(unsigned flags) {
  ProbeRing ring(flags);
  const SocketPair pair;
  if (ring.status() != 0 || !pair.far) return false;
  // No buffer group is registered: a kernel that knows the flag gets as far as looking for one.
  io_uring_sqe* sqe = io_uring_get_sqe(ring.get());
  io_uring_prep_recv_multishot(sqe, pair.near.get(), nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  const char byte = 0;
  if (::send(pair.far.get(), &byte, 1, MSG_NOSIGNAL) != 1) return false;
  io_uring_cqe cqe{};
  return ring.run(cqe) && cqe.res == -ENOBUFS;
}

bool has_registered_ring(unsigned flags) {
  ProbeRing ring(flags);
  return ring.status() == 0 && io_uring_register_ring_fd(ring.get()) == 1;
}

void queue_silent_send(io_uring* ring, int fd, const std::vector<char>& bytes, std::size_t size) {
  io_uring_sqe* sqe = io_uring_get_sqe(ring);
  io_uring_prep_send(sqe, fd, bytes.data(), size, MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

bool has_silent_send(unsigned flags) {
  ProbeRing ring(flags);
  const SocketPair pair;
  if (ring.status() != 0 || !pair.far || (ring.get()->features & IORING_FEAT_CQE_SKIP) == 0) {
    return false;
  }
  const std::vector<char> bytes(4 * 1024 * 1024);
  io_uring_cqe cqe{};
  queue_silent_send(ring.get(), pair.near.get(), bytes, 64);
  if (ring.run(cqe)) return false;  // it went, and should have said nothing
  queue_silent_send(ring.get(), pair.near.get(), bytes, bytes.size());
  if (!ring.run(cqe) || cqe.res <= 0 || static_cast<std::size_t>(cqe.res) >= bytes.size()) {
    return false;  // some of it went, and it should have said how much
  }
  queue_silent_send(ring.get(), pair.near.get(), bytes, bytes.size());
  if (!ring.run(cqe) || cqe.res != -EAGAIN) return false;
  ::shutdown(pair.far.get(), SHUT_RDWR);
  queue_silent_send(ring.get(), pair.near.get(), bytes, 64);
  return ring.run(cqe) && cqe.res < 0;
}

}  // namespace

unsigned UringFeatures::setup_flags() const {
  unsigned flags = IORING_SETUP_CQSIZE;
  if (submit_all) flags |= IORING_SETUP_SUBMIT_ALL;
  if (single_issuer) flags |= IORING_SETUP_SINGLE_ISSUER;
  if (defer_taskrun) flags |= IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  if (coop_taskrun) flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  if (restricted) flags |= IORING_SETUP_R_DISABLED;  // until it is restricted
  return flags;
}

std::vector<std::string> UringFeatures::names() const {
  std::vector<std::string> names;
  if (single_issuer) names.emplace_back("single_issuer");
  if (defer_taskrun) names.emplace_back("defer_taskrun");
  if (coop_taskrun) names.emplace_back("coop_taskrun");
  if (submit_all) names.emplace_back("submit_all");
  if (multishot_accept) names.emplace_back("multishot_accept");
  if (multishot_recv) names.emplace_back("multishot_recv");
  if (silent_send) names.emplace_back("silent_send");
  if (registered_ring) names.emplace_back("registered_ring");
  if (restricted) names.emplace_back("restricted");
  names.push_back("cq=" + std::to_string(cq_entries));
  names.push_back("buffers=" + std::to_string(small_buffers));
  std::string list;
  for (const std::string& name : without) list += (list.empty() ? "without=" : ",") + name;
  if (!list.empty()) names.push_back(list);
  return names;
}

namespace {

void require_plain_ring() {
  ProbeRing ring(0);
  if (ring.status() != 0) throw BackendUnavailable(why_refused("io_uring_setup", -ring.status()));
  const int error = ring.enter();
  if (error != 0) throw BackendUnavailable(why_refused("io_uring_enter", error));
}

void require_buffer_rings(int error) {
  if (error == EINVAL) {
    throw BackendUnavailable(
        "io_uring is too old here: no provided-buffer rings (they came with Linux 5.19)");
  }
  if (error != 0) throw BackendUnavailable(why_refused("io_uring_register", error));
}

UringFeatures probe() {
  UringFeatures found;
  found.without = taken_away();
  found.cq_entries = number_from_environment("ECHOBENCH_URING_CQ", kDefaultCompletions, 32768);
  found.small_buffers =
      number_from_environment("ECHOBENCH_URING_BUFFERS", kDefaultSmallBuffers, 32768);

  require_plain_ring();
  const auto may = [&](std::string_view name) {
    return std::ranges::find(found.without, name) == found.without.end();
  };
  const auto has = [&](std::string_view name, unsigned flags) {
    return may(name) && sets_up(flags);
  };
  found.submit_all = has("submit_all", IORING_SETUP_SUBMIT_ALL);
  found.single_issuer = has("single_issuer", IORING_SETUP_SINGLE_ISSUER);
  found.defer_taskrun = found.single_issuer && has("defer_taskrun", IORING_SETUP_SINGLE_ISSUER |
                                                                        IORING_SETUP_DEFER_TASKRUN);
  found.coop_taskrun = !found.defer_taskrun && has("coop_taskrun", IORING_SETUP_COOP_TASKRUN);

  const unsigned flags = found.setup_flags() & ~unsigned{IORING_SETUP_CQSIZE};
  require_buffer_rings(may("buffer_rings") ? provides_buffer_rings(flags) : EINVAL);
  found.multishot_accept = may("multishot_accept") && has_multishot_accept(flags);
  // Without defer_taskrun, completions call on the thread as a signal does, and a multishot receive
  // can miss what has arrived (below). Linux 6.0 alone has the one without the other.
  found.multishot_recv = found.defer_taskrun && may("multishot_recv") && has_multishot_recv(flags);
  found.registered_ring = may("registered_ring") && has_registered_ring(flags);
  found.silent_send = may("silent_send") && has_silent_send(flags);
  return found;
}

}  // namespace

// In a thread of its own: a ring that was closed calls on the thread that used it once more, as a
// signal does, and at any time (io_ring_exit_work in Linux's io_uring). A multishot receive that
// has come to an urgent mark just then is told that nothing is there, and waits for an arrival that
// has been (tcp_recvmsg_locked, to Linux 6.18).
UringFeatures probe_uring() {
  std::future<UringFeatures> probing;
  try {
    probing = std::async(std::launch::async, probe);
  } catch (const std::system_error& failure) {
    throw std::system_error(failure.code(), "cannot start the thread that probes io_uring");
  }
  return probing.get();
}

}  // namespace net
