// A whole command line, its words ended by NUL: it is accepted, or refused with exit code 2, and
// nothing is set by one that is refused for its form.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"
#include "cli/units.h"
#include "fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> words{"program"};
  while (!rest.empty() && words.size() < 64) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    words.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::vector<const char*> line;
  line.reserve(words.size());
  for (const std::string& word : words) line.push_back(word.c_str());

  int sizes = 0;
  int flags = 0;
  int places = 0;
  cli::CommandLine command("program", "What it does.");
  command.group("Load");
  command.option("-s,--size", "BYTES", "how large", [&](std::string_view text) {
    cli::parse_bytes(text, 1, 1024);
    ++sizes;
  });
  command.option("-n,--name", "NAME", "what for", [&](std::string_view text) {
    if (text.empty()) throw cli::BadValue("a name");
  });
  command.flag("-q,--quiet", "say nothing", [&] { ++flags; });
  command.positional("PLACE", "where", 2, [&](std::string_view) { ++places; });
  const std::optional<int> status = command.parse(static_cast<int>(line.size()), line.data());
  fuzz::check(!status || *status == 0 || *status == 2, "help, usage or on with it");
  fuzz::check(sizes <= 1 && flags <= 1 && places <= 2, "nothing is given twice");
  return 0;
}
