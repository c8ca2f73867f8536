#include "loadgen/error_kind.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

namespace loadgen {

std::string error_kind(int error) {
  switch (error) {
    case 0:
      return "closed_by_peer";
    case ECONNREFUSED:
      return "connection_refused";
    case ECONNRESET:
    case EPIPE:
      return "connection_reset";
    case ECONNABORTED:
      return "connection_aborted";
    case ETIMEDOUT:
      return "timed_out";
    case EHOSTUNREACH:
      return "host_unreachable";
    case ENETUNREACH:
      return "network_unreachable";
    case EADDRNOTAVAIL:
      return "address_not_available";
    case EMFILE:
      return "too_many_files_open";
    default:
      break;
  }
  const char* name = ::strerrorname_np(error);
  std::string kind = name == nullptr ? "unknown_error" : name + 1;
  std::ranges::transform(kind, kind.begin(), [](unsigned char c) { return std::tolower(c); });
  return kind;
}

}  // namespace loadgen
