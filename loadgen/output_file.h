// Writing a result so that an earlier one survives until the new one is safe on the disk.
#pragma once

#include <string>
#include <string_view>

namespace loadgen {

/// Writes beside `path`, syncs, and renames onto it; a link is followed, and what is no regular
/// file (a device, a pipe) is written to directly. "-" is standard output. Throws std::system_error
/// that names the path; nothing is left behind then.
void write_output(const std::string& path, std::string_view text);

}  // namespace loadgen
