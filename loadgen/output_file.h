// Writing a result so that an earlier one survives until the new one is safe on the disk.
#pragma once

#include <string>
#include <string_view>

namespace loadgen {

/// Writes beside `path`, syncs, and renames onto it; a link is followed, and what is no regular
/// file (a device, a pipe) is written to directly. "-" is standard output. Throws std::system_error
/// that names the path; nothing is left behind then.
void write_output(const std::string& path, std::string_view text);

/// Whether write_output(path) can be expected to work, so that a run is not made in vain: throws as
/// that would where the directory is missing or forbids it. What is there stays as it is.
void check_output(const std::string& path);

}  // namespace loadgen
