#include "server/landlock.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "net/fd.h"
#include "server/sanitizer.h"

namespace server {
namespace {

// linux/landlock.h as of ABI 6; the header of the machine that builds may be older.
struct Ruleset {
  std::uint64_t files = 0;
  std::uint64_t net = 0;
  std::uint64_t scoped = 0;
};
struct [[gnu::packed]] PathRule {
  std::uint64_t allowed = 0;
  std::int32_t directory = -1;
};
struct PortRule {
  std::uint64_t allowed = 0;
  std::uint64_t port = 0;
};
constexpr unsigned kAskVersion = 1;
constexpr int kPathRule = 1, kPortRule = 2;
constexpr std::uint64_t kExecute = 1, kReadFile = 4, kReadDirectory = 8;
constexpr std::uint64_t kBindTcp = 1, kConnectTcp = 2;
constexpr std::uint64_t kAbstractSockets = 1, kSignals = 2;

/// All that this version of it can refuse; what it does not know would be an error.
Ruleset everything(long abi) {
  int file_rights = 13;            // execute, read, write, make, remove
  if (abi >= 2) file_rights = 14;  // refer: link and rename between directories
  if (abi >= 3) file_rights = 15;  // truncate
  if (abi >= 5) file_rights = 16;  // ioctl of devices
  return {.files = (std::uint64_t{1} << file_rights) - 1,
          .net = abi >= 4 ? kBindTcp | kConnectTcp : 0,
          .scoped = abi >= 6 ? kAbstractSockets | kSignals : 0};
}

bool allow_reading_everywhere(int ruleset) {
  const net::Fd root(::open("/", O_PATH | O_CLOEXEC));
  const PathRule rule{kExecute | kReadFile | kReadDirectory, root.get()};
  return ::syscall(SYS_landlock_add_rule, ruleset, kPathRule, &rule, 0) == 0;
}

bool allow_connecting_to(int ruleset, std::uint16_t port) {
  const PortRule rule{kConnectTcp, port};
  return ::syscall(SYS_landlock_add_rule, ruleset, kPortRule, &rule, 0) == 0;
}

bool restrict_to(const Ruleset& refused, std::optional<std::uint16_t> next_hop) {
  const net::Fd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &refused, sizeof refused, 0)));
  if (!ruleset) return false;
  if (kSanitized && !allow_reading_everywhere(ruleset.get())) return false;
  if (next_hop && refused.net != 0 && !allow_connecting_to(ruleset.get(), *next_hop)) return false;
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0;
}

}  // namespace

std::string restrict_reach(std::optional<std::uint16_t> next_hop) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
  if (abi >= 1 && restrict_to(everything(abi), next_hop)) return "";
  return "Landlock is not usable: " + std::generic_category().message(errno);
}

}  // namespace server
