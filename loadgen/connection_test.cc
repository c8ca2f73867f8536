#include "loadgen/connection.h"

#include <gtest/gtest.h>

namespace loadgen {
namespace {

// An engine sets a stamp when it hands the message over, and connections may be made until then.
TEST(SendStamps, StayWhereTheyAreWhileConnectionsAreMade) {
  SendStamps stamps(3);
  stamps.make_room(1);
  SendStamp* const first = &stamps.at(0, 0);
  SendStamp* const last = &stamps.at(0, 2);
  for (std::size_t connections = 2; connections < 2000; ++connections) {
    stamps.make_room(connections);
  }
  EXPECT_EQ(&stamps.at(0, 0), first);
  EXPECT_EQ(&stamps.at(0, 2), last);
}

}  // namespace
}  // namespace loadgen
