// What is left to one who has taken the server over: each act is tried from inside, by system
// calls.
#include "server/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <ostream>
#include <string>
#include <thread>

#include "net/address.h"
#include "net/socket.h"
#include "server/sanitizer.h"

namespace server {
namespace {

using net::Backend;
using Act = std::function<long()>;

constexpr int kNotHere = 255;  // no errno
const net::Address kAnyPort = net::Address::resolve("127.0.0.1", 0);

/// The errno of an act in a process that is confined so, 0 if it is done, kNotHere without sandbox.
int confined(Sandbox sandbox, const Act& act, std::optional<std::uint16_t> next_hop = {},
             Backend backend = Backend::kBlocking) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      enter(sandbox, backend, next_hop);
    } catch (const SandboxUnavailable&) {
      ::_exit(kNotHere);
    }
    ::_exit(act() < 0 ? errno : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

long landlock_abi() { return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1U); }

long open_to_read() { return ::open("/etc/passwd", O_RDONLY | O_CLOEXEC); }
long open_to_write() { return ::open("/dev/null", O_WRONLY | O_CLOEXEC); }
long make_a_file() { return ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); }
long run_a_program() {
  char name[] = "/bin/true";
  char* arguments[] = {name, nullptr};
  return ::execv(name, arguments);
}
long signal_the_parent() { return ::kill(::getppid(), 0); }
long make_a_socket() { return ::socket(AF_INET, SOCK_STREAM, 0); }
long make_a_process() { return ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr); }
long make_code() {
  void* page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? -1 : 0;
}
long make_data_code() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? 0 : ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
}
long make_a_ring() {
  io_uring_params params{};
  return ::syscall(SYS_io_uring_setup, 1, &params);
}
long start_a_thread() {
  std::thread([] {}).join();
  return 0;
}

Act bind(int fd) {
  return [fd] { return ::bind(fd, kAnyPort.data(), kAnyPort.size()); };
}
Act connect(int fd, const net::Address& address) {
  return [fd, address] { return ::connect(fd, address.data(), address.size()); };
}

struct NamedAct {
  const char* name;
  long (*run)();
};
std::ostream& operator<<(std::ostream& out, const NamedAct& act) { return out << act.name; }

/// As a test parameter: each is possible outside, or the refusal would prove nothing.
class ActInside : public testing::TestWithParam<NamedAct> {
 protected:
  void SetUp() override {
    const int outside = confined(Sandbox::kOff, GetParam().run);
    if (outside != 0) GTEST_SKIP() << "not possible here outside a sandbox: errno " << outside;
  }
};

class Landlocked : public ActInside {};
class Filtered : public ActInside {};

TEST_P(Landlocked, IsRefused) {
  if (landlock_abi() < 1) GTEST_SKIP() << "this kernel has no Landlock";
  if (kSanitized && GetParam().run != open_to_write && GetParam().run != make_a_file) {
    GTEST_SKIP() << "a sanitizer may read files and run programs";
  }
  EXPECT_EQ(confined(Sandbox::kOn, GetParam().run), EACCES);
}

TEST_P(Filtered, IsRefused) {
  const int error = confined(Sandbox::kStrict, GetParam().run);
  if (error == kNotHere) GTEST_SKIP() << "no strict sandbox here";
  EXPECT_EQ(error, EPERM);
}

const auto kName = [](const auto& info) { return std::string(info.param.name); };

INSTANTIATE_TEST_SUITE_P(Sandbox, Landlocked,
                         testing::Values(NamedAct{"OpenToRead", open_to_read},
                                         NamedAct{"OpenToWrite", open_to_write},
                                         NamedAct{"MakeAFile", make_a_file},
                                         NamedAct{"RunAProgram", run_a_program}),
                         kName);

INSTANTIATE_TEST_SUITE_P(
    Sandbox, Filtered,
    testing::Values(NamedAct{"OpenToRead", open_to_read}, NamedAct{"OpenToWrite", open_to_write},
                    NamedAct{"MakeAFile", make_a_file}, NamedAct{"RunAProgram", run_a_program},
                    NamedAct{"SignalTheParent", signal_the_parent},
                    NamedAct{"MakeASocket", make_a_socket},
                    NamedAct{"MakeAProcess", make_a_process}, NamedAct{"MakeCode", make_code},
                    NamedAct{"MakeDataCode", make_data_code}, NamedAct{"MakeARing", make_a_ring}),
    kName);

TEST(Sandbox, BindsNoPort) {
  const auto try_to_bind = [](Sandbox sandbox) {
    const net::Fd fd(static_cast<int>(make_a_socket()));
    return confined(sandbox, bind(fd.get()));
  };
  EXPECT_EQ(try_to_bind(Sandbox::kOff), 0);
  if (landlock_abi() >= 4) {
    EXPECT_EQ(try_to_bind(Sandbox::kOn), EACCES);
  }
  const int error = try_to_bind(Sandbox::kStrict);
  if (error == kNotHere) GTEST_SKIP() << "no strict sandbox here";
  EXPECT_EQ(error, EPERM);
}

TEST(Sandbox, ConnectsToTheNextHopOnly) {
  const net::Fd next = net::listen_on(kAnyPort, 8), other = net::listen_on(kAnyPort, 8);
  const net::Address next_address = net::Address::of_socket(next.get());
  const net::Address other_address = net::Address::of_socket(other.get());
  for (const Sandbox sandbox : {Sandbox::kOn, Sandbox::kStrict}) {
    const auto try_to_reach = [&](const net::Address& address) {
      const net::Fd fd(static_cast<int>(make_a_socket()));
      return confined(sandbox, connect(fd.get(), address), next_address.port(), Backend::kEpoll);
    };
    if (landlock_abi() < 4) GTEST_SKIP() << "this kernel's Landlock knows no ports";
    if (try_to_reach(next_address) == kNotHere) GTEST_SKIP() << "no strict sandbox here";
    EXPECT_EQ(try_to_reach(next_address), 0);
    EXPECT_EQ(try_to_reach(other_address), EACCES);
  }
}

TEST(Sandbox, AnEchoConnectsNowhere) {
  const net::Fd listener = net::listen_on(kAnyPort, 8), fd(static_cast<int>(make_a_socket()));
  const net::Address address = net::Address::of_socket(listener.get());
  if (landlock_abi() >= 4) {
    EXPECT_EQ(confined(Sandbox::kOn, connect(fd.get(), address)), EACCES);
  }
  const int error = confined(Sandbox::kStrict, connect(fd.get(), address));
  if (error == kNotHere) GTEST_SKIP() << "no strict sandbox here";
  EXPECT_EQ(error, EPERM);
}

TEST(Sandbox, ARelayMakesStreamsOnly) {
  const auto make = [](int type) {
    return confined(
        Sandbox::kStrict, [type] { return ::socket(AF_INET, type, 0); }, 8888, Backend::kEpoll);
  };
  if (make(SOCK_STREAM) == kNotHere) GTEST_SKIP() << "no strict sandbox here";
  EXPECT_EQ(make(SOCK_STREAM), 0);
  EXPECT_EQ(make(SOCK_DGRAM), EPERM);
}

TEST(Sandbox, SignalsNobodyElse) {
  if (landlock_abi() < 6) GTEST_SKIP() << "this kernel's Landlock knows no signals";
  EXPECT_EQ(confined(Sandbox::kOn, signal_the_parent), EPERM);
}

TEST(Sandbox, OnlyBlockingStartsThreads) {
  const int error = confined(Sandbox::kStrict, start_a_thread);
  if (error == kNotHere) GTEST_SKIP() << "no strict sandbox here";
  EXPECT_EQ(error, 0);
  const auto clone = [] {
    return ::syscall(SYS_clone, CLONE_VM | CLONE_THREAD, nullptr, nullptr, nullptr, nullptr);
  };
  EXPECT_EQ(confined(Sandbox::kStrict, clone, {}, Backend::kEpoll), EPERM);
}

TEST(Sandbox, OffRefusesNothing) {
  EXPECT_EQ(confined(Sandbox::kOff, open_to_read), 0);
  EXPECT_EQ(confined(Sandbox::kOff, make_a_process), 0);
}

}  // namespace
}  // namespace server
