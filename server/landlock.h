// What this process may reach by name, taken away by itself (landlock(7), Linux 5.13): a server
// that has its port and its engine opens nothing more.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace server {

/// From now on, for this thread and those it starts: no file can be opened, made, removed or run,
/// and, as far as the kernel knows how to refuse it, no TCP port bound (Linux 6.7), none connected
/// to but `next_hop`, no signal sent to other processes (6.12). What is open stays so. Sets
/// PR_SET_NO_NEW_PRIVS. Returns why not, and has refused nothing then; or an empty text.
///
/// Under a sanitizer files can be read and run, for it reads its own maps and runs a symbolizer.
std::string restrict_reach(std::optional<std::uint16_t> next_hop);

}  // namespace server
