// Real processes with real listening sockets: which of them is found for an address, and that the
// CPU time read from outside is what the process itself knows of.
#include "loadgen/server_process.h"

#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "loadgen/host_cpu.h"

namespace {

using loadgen::ServerProcess;
using net::Address;
using net::Nanos;

constexpr Nanos kBurnTime = 100 * net::kMillisecond;
constexpr Nanos kBriefBurnTime = 3 * net::kMillisecond;

Nanos nanos_of(const timeval& t) { return t.tv_sec * net::kSecond + t.tv_usec * 1000; }

Nanos own_rusage() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return nanos_of(usage.ru_utime) + nanos_of(usage.ru_stime);
}

void burn(Nanos cpu_time) {
  const Nanos end = own_rusage() + cpu_time;
  while (own_rusage() < end) continue;
}

/// Returns when the thread that burnt is gone from the kernel's books, which join() alone does not
/// promise.
void burn_in_a_thread_that_ends() {
  pid_t id = 0;
  std::thread([&id] {
    id = ::gettid();
    burn(kBurnTime);
  }).join();
  const std::string path = "/proc/self/task/" + std::to_string(id);
  while (::access(path.c_str(), F_OK) == 0) ::sched_yield();
}

/// Not 1 for one thread everywhere: ThreadSanitizer adds its own.
int tasks_of(pid_t pid) {
  const std::filesystem::directory_iterator tasks("/proc/" + std::to_string(pid) + "/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

/// A socket bound to `host`, on any port where `port` is 0.
class Socket {
 public:
  explicit Socket(const std::string& host, std::uint16_t port = 0, int protocol = 0) {
    const Address wanted = Address::resolve(host, port);
    fd_ = ::socket(wanted.family(), SOCK_STREAM | SOCK_CLOEXEC, protocol);
    const int on = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    bound_ = ::bind(fd_, wanted.data(), wanted.size()) == 0;
  }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  Socket& listen() {
    bound_ = bound_ && ::listen(fd_, 8) == 0;
    return *this;
  }
  bool ok() const { return bound_; }
  int fd() const { return fd_; }
  std::uint16_t port() const { return Address::of_socket(fd_).port(); }

 private:
  int fd_ = -1;
  bool bound_ = false;
};

/// A forked process that inherits every socket open at the time, and does what it is told: one byte
/// per order, answered by the CPU time that it knows of.
class Child {
 public:
  enum Order : char {
    kReport = 'r',
    kBurn = 'b',
    kBurnBriefly = 'm',
    kBurnInThread = 't',
    kKeepThread = 'k'
  };

  explicit Child(const char* name = nullptr) {
    std::array<int, 2> orders{};
    std::array<int, 2> answers{};
    if (::pipe(orders.data()) != 0 || ::pipe(answers.data()) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      if (name != nullptr) ::prctl(PR_SET_NAME, name);
      ::close(orders[1]);
      obey(orders[0], answers[1]);
    }
    ::close(orders[0]);
    ::close(answers[1]);
    to_child_ = orders[1];
    from_child_ = answers[0];
    order(kReport);
  }

  ~Child() {
    end();
    ::close(to_child_);
    ::close(from_child_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }

  Nanos order(Order what) {
    Nanos cpu_time = -1;
    const char byte = what;
    EXPECT_EQ(::write(to_child_, &byte, 1), 1);
    EXPECT_EQ(::read(from_child_, &cpu_time, sizeof cpu_time), ssize_t{sizeof cpu_time});
    return cpu_time;
  }

  void kill() {
    ::kill(pid_, SIGKILL);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }

  void end() {
    if (pid_ <= 0) return;
    kill();
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  [[noreturn]] static void obey(int orders, int answers) {
    char byte = 0;
    while (::read(orders, &byte, 1) == 1) {
      if (byte == kBurn) burn(kBurnTime);
      if (byte == kBurnBriefly) burn(kBriefBurnTime);
      if (byte == kBurnInThread) burn_in_a_thread_that_ends();
      if (byte == kKeepThread) std::thread([] { ::pause(); }).detach();
      const Nanos cpu_time = own_rusage();
      if (::write(answers, &cpu_time, sizeof cpu_time) < 0) break;
    }
    ::_exit(0);
  }

  pid_t pid_ = 0;
  int to_child_ = -1;
  int from_child_ = -1;
};

std::optional<ServerProcess> find(const std::string& host, std::uint16_t port) {
  return ServerProcess::find(Address::resolve(host, port));
}

int pid_found(const std::string& host, std::uint16_t port) {
  const auto server = find(host, port);
  return server ? server->pid() : -1;
}

/// A child that alone holds a socket listening on `host`.
struct ListeningChild {
  explicit ListeningChild(const std::string& host, std::uint16_t wanted = 0, int protocol = 0,
                          const char* name = nullptr) {
    Socket socket(host, wanted, protocol);
    ok = socket.listen().ok();
    if (!ok) return;
    port = socket.port();
    child.emplace(name);
  }

  bool ok = false;
  std::uint16_t port = 0;
  std::optional<Child> child;
};

bool has_ipv6() { return Socket("::1").ok(); }

TEST(ServerProcessFind, NamesTheProcessThatListens) {
  ListeningChild server("127.0.0.1");
  ASSERT_TRUE(server.ok);
  const auto found = find("127.0.0.1", server.port);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->pid(), server.child->pid());
  EXPECT_EQ(found->threads(), tasks_of(server.child->pid()));
  std::array<char, PATH_MAX> self{};
  ASSERT_GT(::readlink("/proc/self/exe", self.data(), self.size() - 1), 0);
  const std::string_view path = self.data();
  EXPECT_EQ(found->command(), path.substr(path.rfind('/') + 1));
}

TEST(ServerProcessFind, FindsNothingWhereNothingListens) {
  Socket bound("127.0.0.1");
  ASSERT_TRUE(bound.ok());
  EXPECT_FALSE(find("127.0.0.1", bound.port()));
  bound.listen();
  EXPECT_TRUE(find("127.0.0.1", bound.port()));
  EXPECT_FALSE(ServerProcess::find(Address()));
}

TEST(ServerProcessFind, DoesNotTakeAConnectionForAListener) {
  std::optional<Socket> listener(std::in_place, "127.0.0.1");
  const Address address = Address::of_socket(listener->listen().fd());
  const Socket client("127.0.0.1");
  ASSERT_EQ(::connect(client.fd(), address.data(), address.size()), 0);
  const int accepted = ::accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC);
  ASSERT_GE(accepted, 0);
  listener.reset();
  EXPECT_FALSE(find("127.0.0.1", address.port()));
  EXPECT_FALSE(find("127.0.0.1", client.port()));
  ::close(accepted);
}

TEST(ServerProcessFind, DistinguishesAddressesOnOnePort) {
  ListeningChild one("127.0.0.1");
  ASSERT_TRUE(one.ok);
  ListeningChild two("127.0.0.2", one.port);
  ASSERT_TRUE(two.ok);
  EXPECT_EQ(pid_found("127.0.0.1", one.port), one.child->pid());
  EXPECT_EQ(pid_found("127.0.0.2", one.port), two.child->pid());
  EXPECT_EQ(pid_found("127.0.0.3", one.port), -1);
}

TEST(ServerProcessFind, PrefersTheExactAddressToTheWildcard) {
  ListeningChild any("0.0.0.0");
  ASSERT_TRUE(any.ok);
  ListeningChild exact("127.0.0.1", any.port);
  ASSERT_TRUE(exact.ok);
  EXPECT_EQ(pid_found("127.0.0.1", any.port), exact.child->pid());
  EXPECT_EQ(pid_found("127.0.0.2", any.port), any.child->pid());
  EXPECT_EQ(pid_found("0.0.0.0", any.port), exact.child->pid());
}

TEST(ServerProcessFind, ReadsIpv6) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  ListeningChild server("::1");
  ASSERT_TRUE(server.ok);
  EXPECT_EQ(pid_found("::1", server.port), server.child->pid());
  EXPECT_EQ(pid_found("::", server.port), server.child->pid());
  EXPECT_EQ(pid_found("127.0.0.1", server.port), -1);
}

TEST(ServerProcessFind, KnowsThatTheIpv6WildcardTakesIpv4) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  ListeningChild server("::");
  ASSERT_TRUE(server.ok);
  EXPECT_EQ(pid_found("::1", server.port), server.child->pid());
  EXPECT_EQ(pid_found("127.0.0.1", server.port), server.child->pid());
  EXPECT_EQ(pid_found("::ffff:127.0.0.1", server.port), server.child->pid());
}

TEST(ServerProcessFind, TakesMappedAddressesForIpv4) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  ListeningChild mapped("::ffff:127.0.0.1");
  ASSERT_TRUE(mapped.ok);
  EXPECT_EQ(pid_found("127.0.0.1", mapped.port), mapped.child->pid());
  ListeningChild plain("127.0.0.1");
  ASSERT_TRUE(plain.ok);
  EXPECT_EQ(pid_found("::ffff:127.0.0.1", plain.port), plain.child->pid());
}

TEST(ServerProcessFind, LooksAtThisMachineOnly) {
  ListeningChild server("0.0.0.0");
  ASSERT_TRUE(server.ok);
  EXPECT_EQ(pid_found("127.0.0.1", server.port), server.child->pid());
  EXPECT_EQ(pid_found("198.51.100.1", server.port), -1) << "TEST-NET-2 of RFC 5737";
}

TEST(ServerProcessFind, TakesAnInterfaceAddressForThisMachine) {
  ListeningChild server("0.0.0.0");
  ASSERT_TRUE(server.ok);
  ifaddrs* all = nullptr;
  ASSERT_EQ(::getifaddrs(&all), 0);
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(all, &::freeifaddrs);
  int tried = 0;
  for (const ifaddrs* i = all; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != AF_INET) continue;
    sockaddr_in target = *reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
    target.sin_port = htons(server.port);
    const Address address(reinterpret_cast<const sockaddr*>(&target), sizeof target);
    if (address.is_loopback()) continue;
    ++tried;
    const auto found = ServerProcess::find(address);
    ASSERT_TRUE(found) << address.to_string();
    EXPECT_EQ(found->pid(), server.child->pid());
  }
  if (tried == 0) GTEST_SKIP() << "no interface but loopback has an IPv4 address";
}

TEST(ServerProcessFind, FindsAMultipathListener) {
  constexpr int kMultipathTcp = 262;  // IPPROTO_MPTCP, which glibc 2.36 lacks; Go listens so
  ListeningChild server("127.0.0.1", 0, kMultipathTcp);
  if (!server.ok) GTEST_SKIP() << "no MPTCP here";
  EXPECT_EQ(pid_found("127.0.0.1", server.port), server.child->pid());
}

TEST(ServerProcessFind, PassesOverSystemdWhereAServiceHoldsTheSocketToo) {
  std::optional<Socket> socket(std::in_place, "127.0.0.1");
  const std::uint16_t port = socket->listen().port();
  Child manager("systemd");
  Child service;
  socket.reset();
  EXPECT_EQ(pid_found("127.0.0.1", port), service.pid());
  service.end();
  EXPECT_EQ(pid_found("127.0.0.1", port), manager.pid());
}

TEST(ServerProcessFind, FindsNothingWithoutPermission) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  ListeningChild server("127.0.0.1");
  ASSERT_TRUE(server.ok);
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    constexpr uid_t kNobody = 65534;
    if (::setuid(kNobody) != 0) ::_exit(2);
    ::_exit(find("127.0.0.1", server.port) ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(stranger, &status, 0), stranger);
  EXPECT_EQ(status, 0) << "1: found, 2: could not change the user";
}

TEST(ServerProcessFind, FindsAServerInAnotherLanguage) {
  std::array<int, 2> out{};
  ASSERT_EQ(::pipe(out.data()), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    const char* program =
        "import socket, signal\n"
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True)\n"
        "signal.pause()\n";
    ::execlp("python3", "python3", "-c", program, nullptr);
    ::_exit(127);
  }
  ::close(out[1]);
  std::array<char, 16> line{};
  const ssize_t size = ::read(out[0], line.data(), line.size() - 1);
  const auto port = static_cast<std::uint16_t>(std::atoi(line.data()));
  const auto found = size > 0 ? find("127.0.0.1", port) : std::nullopt;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  ::close(out[0]);
  if (size <= 0) GTEST_SKIP() << "no python3 here";
  ASSERT_TRUE(found);
  EXPECT_EQ(found->pid(), pid);
  EXPECT_EQ(found->command().substr(0, 6), "python");
}

// Between two answers a child burns CPU and is idle otherwise, so the reading must grow by what its
// own getrusage(2) says; the factor of two is for other ways of accounting, not for time.
void expect_growth(Nanos read_outside, Nanos known_inside) {
  EXPECT_GT(read_outside, known_inside / 2);
  EXPECT_LT(read_outside, known_inside * 2);
}

void expect_counted(const ServerProcess& server, Child& child, Child::Order order) {
  const Nanos inside = child.order(Child::kReport);
  const Nanos outside = server.cpu_time();
  const Nanos grown_inside = child.order(order) - inside;
  expect_growth(server.cpu_time() - outside, grown_inside);
}

TEST(ServerProcessCpuTime, GrowsByWhatTheProcessTakes) {
  ListeningChild server("127.0.0.1");
  ASSERT_TRUE(server.ok);
  const auto found = find("127.0.0.1", server.port);
  ASSERT_TRUE(found);
  expect_counted(*found, *server.child, Child::kBurn);
}

TEST(ServerProcessCpuTime, SeesLessThanAClockTick) {
  ListeningChild server("127.0.0.1");
  ASSERT_TRUE(server.ok);
  const auto found = find("127.0.0.1", server.port);
  ASSERT_TRUE(found);
  for (int i = 0; i < 5; ++i) expect_counted(*found, *server.child, Child::kBurnBriefly);
}

TEST(ServerProcessCpuTime, CountsThreadsThatHaveEnded) {
  ListeningChild server("127.0.0.1");
  ASSERT_TRUE(server.ok);
  const auto found = find("127.0.0.1", server.port);
  ASSERT_TRUE(found);
  expect_counted(*found, *server.child, Child::kBurnInThread);
}

TEST(ServerProcessCpuTime, IsReadWhateverTheProcessIsCalled) {
  ListeningChild server("127.0.0.1", 0, 0, "a) Z 1 2 (3");
  ASSERT_TRUE(server.ok);
  const auto found = find("127.0.0.1", server.port);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->pid(), server.child->pid());
  EXPECT_EQ(found->threads(), tasks_of(server.child->pid()));
  expect_counted(*found, *server.child, Child::kBurn);
}

TEST(ServerProcessCpuTime, AddsUpTheProcessesThatShareASocket) {
  std::optional<Socket> socket(std::in_place, "127.0.0.1");
  const std::uint16_t port = socket->listen().port();
  Child first;
  Child second;
  socket.reset();
  const auto found = find("127.0.0.1", port);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->pid() == first.pid() || found->pid() == second.pid());
  EXPECT_EQ(found->threads(), tasks_of(first.pid()) + tasks_of(second.pid()));
  expect_counted(*found, first, Child::kBurn);
  expect_counted(*found, second, Child::kBurn);
}

TEST(ServerProcessCpuTime, AddsUpTheProcessesThatShareAnAddress) {
  ListeningChild first("127.0.0.1");
  ASSERT_TRUE(first.ok);
  ListeningChild second("127.0.0.1", first.port);
  ASSERT_TRUE(second.ok);
  const auto found = find("127.0.0.1", first.port);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->threads(), tasks_of(first.child->pid()) + tasks_of(second.child->pid()));
  expect_counted(*found, *first.child, Child::kBurn);
  expect_counted(*found, *second.child, Child::kBurn);
}

TEST(ServerProcessThreads, AreThoseAliveNow) {
  ListeningChild server("127.0.0.1");
  ASSERT_TRUE(server.ok);
  const auto found = find("127.0.0.1", server.port);
  ASSERT_TRUE(found);
  const int before = found->threads();
  server.child->order(Child::kKeepThread);
  server.child->order(Child::kKeepThread);
  EXPECT_EQ(found->threads(), tasks_of(server.child->pid()));
  EXPECT_GE(found->threads(), before + 2);
}

TEST(ServerProcessGone, KeepsItsLastReading) {
  ListeningChild server("127.0.0.1");
  ASSERT_TRUE(server.ok);
  const auto found = find("127.0.0.1", server.port);
  ASSERT_TRUE(found);
  server.child->order(Child::kKeepThread);
  const int threads = found->threads();
  const Nanos inside = server.child->order(Child::kBurn);
  server.child->kill();
  const Nanos as_zombie = found->cpu_time();
  EXPECT_GT(as_zombie, inside / 2) << "the burn came after the last reading";
  EXPECT_EQ(found->threads(), threads);
  const pid_t pid = server.child->pid();
  server.child->end();
  EXPECT_EQ(found->cpu_time(), as_zombie);
  EXPECT_EQ(found->threads(), threads);
  EXPECT_EQ(found->pid(), pid);
  EXPECT_FALSE(find("127.0.0.1", server.port));
}

/// A ring whose submissions a thread of the kernel fetches, which spins for `idle_ms` meanwhile.
int ring_with_a_kernel_thread(std::uint32_t idle_ms) {
  // struct io_uring_params (linux/io_uring.h) as the kernel has it: 120 bytes.
  std::array<std::uint32_t, 30> params{};
  params[2] = 1U << 1;  // flags: IORING_SETUP_SQPOLL
  params[4] = idle_ms;  // sq_thread_idle
  return static_cast<int>(::syscall(SYS_io_uring_setup, 8, params.data()));
}

TEST(ServerProcessHelpers, TakeNothingWhereThereAreNone) {
  Socket socket("127.0.0.1");
  const auto server = ServerProcess::find(Address::of_socket(socket.listen().fd()));
  ASSERT_TRUE(server);
  EXPECT_EQ(server->helper_cpu_time(), 0);
}

TEST(ServerProcessHelpers, AreTheKernelsThreadsOfIoUring) {
  Socket socket("127.0.0.1");
  const auto server = ServerProcess::find(Address::of_socket(socket.listen().fd()));
  ASSERT_TRUE(server);
  const int ring = ring_with_a_kernel_thread(60'000);
  if (ring < 0) GTEST_SKIP() << "no io_uring here";
  while (server->helper_cpu_time() < 10 * net::kMillisecond) {
    constexpr unsigned kWakeUp = 1U << 1;  // IORING_ENTER_SQ_WAKEUP
    ::syscall(SYS_io_uring_enter, ring, 0, 0, kWakeUp, nullptr, 0);
  }
  EXPECT_LE(server->helper_cpu_time(), server->cpu_time());
  ::close(ring);
}

TEST(ServerProcessCpus, AreThoseOfItsThreads) {
  Socket socket("127.0.0.1");
  const auto server = ServerProcess::find(Address::of_socket(socket.listen().fd()));
  ASSERT_TRUE(server);
  EXPECT_EQ(server->cpus(), loadgen::allowed_cpus(0));
}

}  // namespace
