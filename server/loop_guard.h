// How a chain of relays that leads back to itself is noticed, before it has used up all
// descriptors: as IP notices a packet that goes in circles, by a hop limit that each node lowers
// (RFC 791; time to live). It costs the chain no byte, for it is the packets' own: a relay connects
// with a hop limit one below the one it was connected to with, and begins at 255, which no host's
// own packets have (64 or 128). Real routers between two nodes count as well.
#pragma once

namespace server {

class LoopGuard {
 public:
  static constexpr int kMostHops = 100;

  /// `hop_limit`: of the SYN that came (net::hop_limit_of_syn), 0 where it is not known.
  explicit LoopGuard(int hop_limit) : came_with_(hop_limit) {}

  bool is_loop() const { return is_marked() && came_with_ <= kBeginning - kMostHops; }

  /// To connect to the next node with.
  int next_hop_limit() const { return is_marked() ? came_with_ - 1 : kBeginning; }

 private:
  static constexpr int kBeginning = 255;
  static constexpr int kHighestOfHosts = 128;
  static_assert(kBeginning - kMostHops > kHighestOfHosts);

  bool is_marked() const { return came_with_ > kHighestOfHosts; }

  int came_with_;
};

}  // namespace server
