// Root's rights, given up: a server needs them for a port below 1024 and for nothing after that.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace server {

/// A user of this machine, with the group of the password file.
struct User {
  std::string name;
  uid_t id = 0;
  gid_t group = 0;
};

/// getpwnam(3); nullopt where there is none of that name.
std::optional<User> user_named(const std::string& name);

/// From now on this process is that user's, with his group alone, and can't become root's again,
/// nor gain rights by a program that it runs (PR_SET_NO_NEW_PRIVS). Call it before there are
/// threads, and before a ring is made: io_uring's requests have the rights of the ring's maker.
/// Throws std::runtime_error where this process is not root's, or where any of root's rights are
/// left.
void become(const User& user);

}  // namespace server
