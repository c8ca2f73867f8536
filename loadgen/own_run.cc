#include "loadgen/own_run.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>
#include <thread>

#include "cli/exit_code.h"

namespace loadgen {
namespace {

// Between fork and exec, while other threads of the parent may hold any lock: system calls only.
[[noreturn]] void become(char* const* arguments, int output, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody else would let a stopped one go on
  if (::getppid() != parent) ::_exit(cli::kFailed);
  ::dup2(output, STDOUT_FILENO);
  ::execv("/proc/self/exe", arguments);
  ::_exit(cli::kFailed);
}

}  // namespace

OwnRun::OwnRun(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "loadgen");
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe");
  }
  output_.reset(ends[0]);
  const net::Fd write_end(ends[1]);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid_ == 0) become(argv.data(), write_end.get(), parent);
}

OwnRun::~OwnRun() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

net::Nanos OwnRun::stop_for(net::Nanos time) const {
  const net::Nanos begin = net::now();
  ::kill(pid_, SIGSTOP);
  std::this_thread::sleep_for(std::chrono::nanoseconds(time));
  ::kill(pid_, SIGCONT);
  return net::now() - begin;
}

OwnRun::End OwnRun::wait() {
  End end;
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    const ssize_t got = ::read(output_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    end.output.append(buffer.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
  end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return end;
}

}  // namespace loadgen
