// Values of a command line: whatever the text, it is read exactly or refused with one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>

#include "cli/units.h"
#include "fuzz/check.h"

namespace {

/// A refusal says what is allowed, and not what was given.
template <class Parse>
void is_read_or_refused(Parse parse) {
  try {
    parse();
  } catch (const cli::BadValue& refusal) {
    const std::string_view text = refusal.what();
    fuzz::check(!text.empty() && text.find('\n') == std::string_view::npos, "one line");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto parse : {cli::parse_count, cli::parse_bytes, cli::parse_duration}) {
    is_read_or_refused([&] {
      const std::int64_t value = parse(text, 0, kMost);
      fuzz::check(value >= 0, "no sign is read");
      fuzz::check(parse(text, value, value) == value, "limits are allowed themselves");
      is_read_or_refused([&] {
        parse(text, value == kMost ? value : value + 1, kMost);
        fuzz::check(value == kMost, "what is below the limit is refused");
      });
    });
  }
  is_read_or_refused([&] {
    for (const int cpu : cli::parse_cpu_list(text)) {
      fuzz::check(cpu >= 0 && cpu <= cli::kMaxCpu, "a CPU that may exist");
    }
  });
  return 0;
}
