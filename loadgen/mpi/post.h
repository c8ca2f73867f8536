// MPI, as far as loadgen needs it: letters from rank to rank. Nothing here waits for another rank,
// for one that has died or was stopped must not hold up the others: no collective call, no blocking
// send or receive. Where there is nothing to do, the caller comes back a little later.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "loadgen/mpi/wire.h"

namespace loadgen::mpi {

/// From whom to whom, and what it holds.
enum class Kind : std::uint8_t {
  kHello,     // to the first rank: [version, arguments, host, status, text]
  kWelcome,   // from it: [index among those on its host, how many these are, first rank's host]
  kReady,     // to it: connected, or warmed up
  kAsk,       // from it: what is your clock at?
  kAnswer,    // to it: [ns]
  kStart,     // from it: [when the phase begins, by the receiver's clock]
  kBeat,      // both ways: here I am, and nothing else is new
  kStop,      // both ways: [signal]
  kInterval,  // to it: [number, end, histogram]
  kResult,    // to it: [by how much the start was missed, result]
  kFailed,    // to it: [exit status, text]
  kEnd        // from it: [exit status, whether all ended in order]
};

struct Letter {
  int from = 0;
  Kind kind = Kind::kBeat;
  Json body;
};

class Post {
 public:
  /// Starts MPI (and its threads: signals have to be blocked before). Throws std::runtime_error.
  Post(int& argc, char**& argv);
  /// Ends with no word to the others, which is all one can do once a rank is lost; end() before is
  /// the orderly way.
  ~Post();
  Post(const Post&) = delete;
  Post& operator=(const Post&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Letters from one rank to another arrive in the order in which they were sent.
  void send(int to, Kind kind, const Json& body = {});
  /// The next letter that has come as a whole.
  std::optional<Letter> receive();
  /// Whether MPI has taken over all that was sent.
  bool all_sent();

  /// Waits for all ranks to end as well (MPI_Finalize), for some seconds at most: a rank that is
  /// lost meanwhile would be waited for in vain. Then the process ends with `status` at once.
  void end(int status);

 private:
  struct Requests;

  int rank_ = 0;
  int size_ = 1;
  std::unique_ptr<Requests> requests_;
};

}  // namespace loadgen::mpi
