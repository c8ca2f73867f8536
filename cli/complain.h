// One line on stderr about what went wrong, from "program: text". A stderr that is closed or full
// must not become a second failure, so nothing here throws.
#pragma once

#include <cstdio>
#include <string>

namespace cli {

inline void complain(const char* program, const std::string& text) noexcept {
  std::fprintf(stderr, "%s: %s\n", program, text.c_str());
}

}  // namespace cli
