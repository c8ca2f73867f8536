#include "net/busy_poll.h"

#include <sched.h>

#include <cerrno>
#include <system_error>

namespace net {
namespace {

// Long enough to bridge the peer's turn in a closed loop over a loopback (some 10 us), short enough
// that a server with an event every millisecond stays below a tenth of a core.
constexpr Nanos kAutoSpin = 50 * kMicrosecond;

}  // namespace

Nanos BusyPoll::spin(int usable_cpus, int loops) const {
  if (kind_ == Kind::kAuto) return usable_cpus > loops ? kAutoSpin : 0;
  return spin_;
}

std::string BusyPoll::to_string() const {
  switch (kind_) {
    case Kind::kAuto:
      return "auto";
    case Kind::kOff:
      return "off";
    case Kind::kAlways:
      return "always";
    case Kind::kFor:
      break;
  }
  if (spin_ % kMicrosecond == 0) return std::to_string(spin_ / kMicrosecond) + "us";
  return std::to_string(spin_) + "ns";
}

int usable_cpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

void pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < CPU_SETSIZE) CPU_SET(static_cast<unsigned>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot run on CPU " + std::to_string(cpu));
  }
}

}  // namespace net
