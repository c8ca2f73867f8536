#include "server/listen_overflows.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <system_error>

namespace server {
namespace {

/// What stands before the separator, or all; it and the separator are taken off the text.
std::string_view take(std::string_view& text, char separator) {
  const std::string_view first = text.substr(0, text.find(separator));
  text.remove_prefix(first.size() < text.size() ? first.size() + 1 : text.size());
  return first;
}

std::optional<std::uint64_t> number_in(std::string_view word) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.begin(), word.end(), number);
  if (error != std::errc() || end != word.end()) return std::nullopt;
  return number;
}

}  // namespace

// By this name it is also where a /proc has processes only (ProcSubset=pid, systemd.exec(5)).
ListenOverflows::ListenOverflows()
    : netstat_(::open("/proc/self/net/netstat", O_RDONLY | O_CLOEXEC)),
      before_(count().value_or(0)) {}

std::optional<std::uint64_t> ListenOverflows::since_start() const {
  std::optional<std::uint64_t> now = count();
  if (now) *now -= before_;
  return now;
}

std::optional<std::uint64_t> ListenOverflows::count() const {
  std::array<char, std::size_t{16} * 1024> text;
  const ssize_t size = ::pread(netstat_.get(), text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  return listen_overflows_in({text.data(), static_cast<std::size_t>(size)});
}

std::optional<std::uint64_t> listen_overflows_in(std::string_view netstat) {
  while (!netstat.empty()) {
    std::string_view names = take(netstat, '\n');
    std::string_view values = take(netstat, '\n');
    while (!names.empty() && !values.empty()) {
      const std::string_view value = take(values, ' ');
      if (take(names, ' ') == "ListenOverflows") return number_in(value);
    }
  }
  return std::nullopt;
}

}  // namespace server
