// The text that the kernel gives in /proc and /sys, read whole or not at all: what one machine has,
// the next lacks or forbids, and none of it may end a measurement.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace loadgen {

/// The whole file; nullopt where it can't be opened or read. Never throws for either.
std::optional<std::string> read_kernel_text(const std::string& path);

/// The same as printable text on one line, with one space for each run of blanks and line ends;
/// nullopt also where nothing is left.
std::optional<std::string> read_kernel_line(const std::string& path);

/// The first `name: value` line's value, as in /proc/cpuinfo; blanks around it are dropped.
std::optional<std::string> value_of(std::string_view text, std::string_view name);

/// Without the blanks and line ends around it.
std::string_view trimmed(std::string_view text);

/// ASCII that fits one line, whatever a process or a firmware calls itself: every other byte
/// becomes
/// '?'. So it can neither steer a terminal nor be refused as JSON.
std::string printable(std::string_view text);

}  // namespace loadgen
