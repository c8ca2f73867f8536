// What is wrong with a reply that does not match: which lie the server told, told by where in the
// payload the wrong bytes do stand.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>

#include "loadgen/payload.h"

namespace loadgen {

enum class Fault {
  kFlipped,     // bits differ, each byte in its place
  kLost,        // a message was skipped
  kDuplicated,  // a message came once more
  kReordered,   // messages of one connection came in another order
  kTruncated,   // bytes are missing inside a message
  kForeign,     // bytes of another connection
  kGarbled,     // bytes that were never sent
  kExtra,       // bytes that nobody asked for
};

/// As in the result's `errors`: "flipped".
std::string_view name_of(Fault fault);

/// The stream of one connection from its first wrong byte on.
struct WrongBytes {
  std::size_t expected_at;        // the payload's position that should have come
  std::size_t offset_in_message;  // of the first wrong byte
  std::size_t owed;               // bytes that were still to come, from there on
  net::Bytes received;            // what came instead, as far as it has
  bool final;                     // no more will come
};

/// Whether `position` is where a message begins that another connection waits for.
using AwaitedElsewhere = std::function<bool(std::size_t position)>;

/// Names the fault, or nothing while more bytes are needed to tell (at most about two messages).
std::optional<Fault> diagnose(const Payload& payload, const WrongBytes& wrong,
                              const AwaitedElsewhere& awaited_elsewhere);

/// Whether the wrong bytes are a node's signature, ` > NAME` where a line ends: that server does
/// what it was told to (echo-server --sign), and is the wrong one to measure.
bool is_signature(const Payload& payload, const WrongBytes& wrong);

}  // namespace loadgen
