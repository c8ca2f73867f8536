#include "loadgen/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "net/fd.h"

namespace loadgen {
namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  throw std::system_error(error, std::generic_category(), "cannot write " + path);
}

// Returns 0 or errno.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

// A file is replaced; a device or a pipe is written to.
enum class Kind { kReplaceable, kDirect };

Kind kind_of(const std::string& path) {
  struct stat existing {};
  if (::stat(path.c_str(), &existing) != 0 || S_ISREG(existing.st_mode)) return Kind::kReplaceable;
  if (S_ISDIR(existing.st_mode)) fail(path, EISDIR);
  return Kind::kDirect;
}

void write_directly(const std::string& path, std::string_view text) {
  const net::Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) fail(path, errno);
  if (const int error = write_all(fd.get(), text); error != 0) fail(path, error);
}

// Where writing to `path` would end up, be it there yet or not.
std::filesystem::path end_of_links(std::filesystem::path path) {
  constexpr int kMostLinks = 40;  // as the kernel follows, path_resolution(7)
  std::error_code none;
  for (int i = 0; i < kMostLinks && std::filesystem::is_symlink(path, none); ++i) {
    path = path.parent_path() / std::filesystem::read_symlink(path, none);
  }
  return path;
}

// The file is made readable for all that the umask allows, as open(2) would have; mkostemp(3)
// makes it private.
void replace(const std::string& path, const std::string& target, std::string_view text) {
  std::string temporary = target + ".XXXXXX";
  net::Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) fail(path, errno);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  int error = write_all(fd.get(), text);
  if (error == 0 && (::fchmod(fd.get(), 0666 & ~mask) != 0 || ::fsync(fd.get()) != 0))
    error = errno;
  if (error == 0 && ::rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error == 0) return;
  ::unlink(temporary.c_str());
  fail(path, error);
}

}  // namespace

void write_output(const std::string& path, std::string_view text) {
  if (path == "-") {
    if (const int error = write_all(STDOUT_FILENO, text); error != 0) fail("the output", error);
    return;
  }
  if (kind_of(path) == Kind::kDirect) return write_directly(path, text);
  replace(path, end_of_links(path).string(), text);
}

void check_output(const std::string& path) {
  if (path == "-") return;
  if (kind_of(path) == Kind::kDirect) {
    if (::access(path.c_str(), W_OK) != 0) fail(path, errno);
    return;
  }
  // What replace() will do, as far as it can be tried without touching what is there.
  std::string temporary = end_of_links(path).string() + ".XXXXXX";
  const net::Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) fail(path, errno);
  ::unlink(temporary.c_str());
}

}  // namespace loadgen
