#include "server/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace server {
namespace {

void must(int status, const char* call) {
  if (status != 0) {
    throw std::system_error(errno, std::generic_category(), std::string("--user: ") + call);
  }
}

/// As the kernel has it: a call that succeeded need not have done what it was asked for.
bool is_only(const User& user) {
  uid_t real = 0, effective = 0, saved = 0;
  gid_t real_group = 0, effective_group = 0, saved_group = 0;
  return ::getresuid(&real, &effective, &saved) == 0 &&
         ::getresgid(&real_group, &effective_group, &saved_group) == 0 &&  //
         real == user.id && effective == user.id && saved == user.id && real_group == user.group &&
         effective_group == user.group && saved_group == user.group &&
         ::getgroups(0, nullptr) == 0 && ::setuid(0) != 0;
}

}  // namespace

std::optional<User> user_named(const std::string& name) {
  const passwd* entry = ::getpwnam(name.c_str());
  if (entry == nullptr) return std::nullopt;
  return User{name, entry->pw_uid, entry->pw_gid};
}

void become(const User& user) {
  if (::geteuid() != 0) throw std::runtime_error("--user: only root can become " + user.name);
  must(::setgroups(0, nullptr), "setgroups");
  must(::setresgid(user.group, user.group, user.group), "setresgid");
  must(::setresuid(user.id, user.id, user.id), "setresuid");
  must(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl");
  if (!is_only(user)) throw std::runtime_error("--user: some of root's rights are left");
}

}  // namespace server
