// What a fuzz target says where a rule does not hold; it ends the process, which is what libFuzzer
// and the tests look for.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace fuzz {

inline void check(bool holds, const char* rule) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", rule);
  std::abort();
}

}  // namespace fuzz
