// Echo servers that do one thing wrong each, on purpose and exactly known: what --self-test
// measures, to see whether loadgen notices.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <thread>

#include "loadgen/histogram.h"
#include "net/address.h"
#include "net/clock.h"
#include "net/fd.h"

namespace loadgen {

/// What a server does wrong. Messages are what one receive brings: with one outstanding on each
/// connection, and small, those of the client.
struct Fault {
  net::Nanos stall_after = net::kNever;  // stops once, so long after its first byte,
  net::Nanos stall_for = 0;              // and for so long
  std::uint64_t swallow_every = 0;       // every so many-th message (and its connection) is lost
  std::uint64_t flip_at = 0;             // of the message with this number one bit is flipped
  net::Nanos delay = 0;                  // each reply waits for so long
  net::Nanos byte_gap = 0;  // each byte is sent by itself, so long after the one before
};

/// A thread that serves on a loopback port of its own until this ends.
class FaultyServer {
 public:
  /// Throws std::system_error.
  explicit FaultyServer(const Fault& fault);
  ~FaultyServer();
  FaultyServer(const FaultyServer&) = delete;
  FaultyServer& operator=(const FaultyServer&) = delete;

  const net::Address& address() const { return address_; }

  /// When the first byte came (net::now()); 0: none yet. At any time.
  net::Nanos began() const { return seen_.began; }

  /// What it did, counted on its own side.
  struct Seen {
    std::atomic<net::Nanos> began = 0;
    std::uint64_t messages = 0;
    std::uint64_t swallowed = 0;
    std::uint64_t flipped = 0;
    net::Nanos stalled = 0;  // how long the stall really was
    Histogram held;          // from a message's arrival until just before its last byte went, ns
  };

  /// Ends the server. Throws what its thread ended with, if that was a failure.
  const Seen& stop();

 private:
  void serve(net::Fd listener);

  Fault fault_;
  net::Address address_;
  net::Fd wake_;
  Seen seen_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace loadgen
