// How long an engine spins before it sleeps. Waking a sleeping thread takes longer than an echo
// does, so a loop that expects the next event soon does better to look again; one that has no core
// to itself does worse, because it takes that core from the peer it waits for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/clock.h"

namespace net {

class BusyPoll {
 public:
  enum class Kind { kAuto, kOff, kAlways, kFor };

  static BusyPoll automatic() { return {Kind::kAuto, 0}; }
  static BusyPoll off() { return {Kind::kOff, 0}; }
  static BusyPoll always() { return {Kind::kAlways, kNever}; }
  static BusyPoll for_duration(Nanos spin) { return {Kind::kFor, spin}; }

  Kind kind() const { return kind_; }

  /// How long to spin after the last event. `auto` spins where the loops of this process leave at
  /// least one usable CPU to the peer (`usable_cpus` > `loops`), and else not at all.
  Nanos spin(int usable_cpus, int loops) const;

  std::string to_string() const;

 private:
  BusyPoll(Kind kind, Nanos spin) : kind_(kind), spin_(spin) {}
  Kind kind_;
  Nanos spin_;
};

/// CPUs that this thread may run on (sched_getaffinity(2)), at least 1. Ask before pinning.
int usable_cpus();

/// Binds the calling thread to one CPU. Throws std::system_error.
void pin_to_cpu(int cpu);

}  // namespace net
