#include "server/listen_overflows.h"

#include <fstream>
#include <new>
#include <sstream>
#include <string>

namespace server {

std::optional<std::uint64_t> listen_overflows() {
  try {
    std::ifstream netstat("/proc/net/netstat");
    return listen_overflows_in(netstat);
  } catch (const std::bad_alloc&) {
    return std::nullopt;
  }
}

std::optional<std::uint64_t> listen_overflows_in(std::istream& netstat) {
  std::string names;
  std::string values;
  while (std::getline(netstat, names) && std::getline(netstat, values)) {
    std::istringstream name_words(names);
    std::istringstream value_words(values);
    std::string name;
    std::string value;
    while (name_words >> name && value_words >> value) {
      if (name != "ListenOverflows") continue;
      std::uint64_t count = 0;
      if (std::istringstream(value) >> count) return count;
    }
  }
  return std::nullopt;
}

}  // namespace server
