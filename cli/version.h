// Which build this is: --version prints it and every result records it.
#pragma once

#include <string_view>

namespace cli {

/// The release, "0.1.0".
std::string_view version();

/// What git describes the built tree as, or "unknown" for one built without git.
std::string_view git_revision();

}  // namespace cli
