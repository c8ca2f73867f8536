// Those who make a run together. loadgen makes it alone; the ranks of an MPI job (loadgen/mpi)
// meet, start at the same time, hear of it when one of them is told to stop, and add up what they
// found. Nothing here is called per message: these are the points at which a run waits anyway.
#pragma once

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>

#include "loadgen/intervals.h"
#include "loadgen/result.h"
#include "loadgen/share.h"
#include "net/clock.h"

namespace loadgen {

/// Another process of the crew could not go on, so none can; `status` is what to exit with.
struct CrewFailed : std::runtime_error {
  CrewFailed(const std::string& what, int exit_status)
      : std::runtime_error(what), status(exit_status) {}
  int status;
};

/// A crew of one. The main thread of a run calls it, in this order: part(), look() all the time,
/// arrive() and start() once a phase, hand_in(), all_in() until it is true, add_up().
class Crew {
 public:
  Crew() = default;
  virtual ~Crew() = default;
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  virtual Part part() const { return {}; }

  /// Tells the others of the signal that ended the run here (0: none), and returns one that ended
  /// it elsewhere. Brings to the first process's log the intervals that the others have closed.
  virtual int look(int /*signal*/, IntervalLog& /*intervals*/) { return 0; }

  /// Why the run has to end, if it has: another process failed.
  virtual std::exception_ptr failure() const { return nullptr; }

  /// This process is ready for the next phase.
  virtual void arrive() {}
  /// When it starts here, by net::now() and `ahead` from now at least; nothing until all are ready.
  virtual std::optional<net::Nanos> start(net::Nanos ahead) { return net::now() + ahead; }

  /// The run has ended here, with this result.
  virtual void hand_in(const Result& /*own*/) {}
  /// Whether nothing is to be waited for any more.
  virtual bool all_in() { return true; }
  /// In the first process, makes this process's result the one of all.
  virtual void add_up(Result& /*result*/) {}
};

}  // namespace loadgen
