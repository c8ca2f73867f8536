#include "loadgen/kernel_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "net/fd.h"

namespace loadgen {
namespace {

constexpr std::string_view kBlank(" \t\r\n\0", 5);  // the device tree ends its texts with NUL

}  // namespace

std::optional<std::string> read_kernel_text(const std::string& path) {
  const net::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::string text;
  std::array<char, 4096> piece;
  ssize_t size = 0;
  while ((size = ::read(file.get(), piece.data(), piece.size())) > 0) {
    text.append(piece.data(), static_cast<std::size_t>(size));
  }
  if (size < 0) return std::nullopt;
  return text;
}

std::optional<std::string> read_kernel_line(const std::string& path) {
  const std::string text = read_kernel_text(path).value_or("");
  std::string line;
  for (const char c : trimmed(text)) {
    const bool blank = kBlank.find(c) != std::string_view::npos;
    if (!blank) line += c;
    if (blank && line.back() != ' ') line += ' ';
  }
  if (line.empty()) return std::nullopt;
  return printable(line);
}

std::optional<std::string> value_of(std::string_view text, std::string_view name) {
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && trimmed(line.substr(0, colon)) == name) {
      return std::string(trimmed(line.substr(colon + 1)));
    }
    start = end + 1;
  }
  return std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string printable(std::string_view text) {
  std::string result(text);
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return result;
}

}  // namespace loadgen
