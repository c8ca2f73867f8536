// Rules of measuring that can be broken on purpose, one at a time, to see that --self-test notices.
// Only in the program that the tests build for it (ECHOBENCH_BREAKABLE; the rule is named in
// ECHOBENCH_BREAK); in loadgen itself nothing of it is left.
#pragma once

#ifdef ECHOBENCH_BREAKABLE
#include <cstdlib>
#include <string_view>
#endif

namespace loadgen {

enum class Rule {
  kIntendedTime,       // latency counts from when a message was due
  kOwnStall,           // a stall of loadgen's own is noticed
  kUnanswered,         // what never came back is counted
  kEveryByte,          // every byte that comes back is compared
  kSendStamp,          // the time is read before a message goes
  kOneSampleAMessage,  // and not one a read
};

#ifdef ECHOBENCH_BREAKABLE
inline bool is_broken(Rule rule) {
  constexpr std::string_view kNames[] = {"intended_time", "own_stall",  "unanswered",
                                         "every_byte",    "send_stamp", "one_sample_a_message"};
  const char* const named = std::getenv("ECHOBENCH_BREAK");
  return named != nullptr && named == kNames[static_cast<int>(rule)];
}
#else
constexpr bool is_broken(Rule) { return false; }
#endif

}  // namespace loadgen
