// The other end of a simulated connection (net/simulated_engine.h): a script, and what came of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace net {

struct SimulatedPeer {
  enum class End : std::uint8_t { kNone, kFin, kReset };

  // ---- what it does

  std::string to_send;            // in pieces, when it likes; may grow
  bool finishes = true;           // FIN behind all that
  bool waits_for_fin = false;     // before it finishes
  bool hangs_up = false;          // close(2) instead of a half-close: what comes then is refused
  bool resets = false;            // sooner or later
  std::size_t dawdles = 1;        // reads every so many chances
  std::size_t piece = 64 * 1024;  // sends or reads so many bytes at once at most
  std::size_t room = 64 * 1024;   // so many bytes are on their way in each direction at most
  std::function<void(SimulatedPeer&, std::string_view)> when_received = {};

  // ---- what has happened

  std::string received;
  End end = End::kNone;    // what it saw at the end of `received`
  std::size_t sent = 0;    // of to_send
  bool connected = false;  // as far as it knows
  bool finished = false;   // its FIN is on its way
  bool gone = false;       // it has reset the connection

  bool deaf() const { return finished && hangs_up; }
};

}  // namespace net
