// How many descriptors, and so connections, this process may have.
#pragma once

#include <sys/resource.h>

namespace net {

/// Raises the soft limit to the hard one, which needs no privilege (getrlimit(2)); the limit then.
inline rlim_t raise_open_files() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::getrlimit(RLIMIT_NOFILE, &files);
  return files.rlim_cur;
}

}  // namespace net
