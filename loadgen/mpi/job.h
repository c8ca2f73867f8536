// The ranks of an MPI job as a crew (loadgen/crew.h). The first rank leads: it hears of the others,
// measures their clocks, names the time to start, merges what they found, and tells them how to
// end. No other two ranks talk to each other.
//
// Any rank may die or be stopped at any time, and none may wait for it for ever: each tells the
// first one every 100 ms that it is there. Who is silent for --timeout (2 s at least) is lost.
// Before the start that ends the job; after it the others go on. Who waits for the first rank is
// answered.
//
// Nothing is sent to a rank that is under load, but that the run is to stop, and that only to those
// that have just been heard of: where ranks are joined by TCP, Open MPI 4.1 makes a process that
// sends to a dead one wait for mpirun, which may then be busy killing it.
#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loadgen/crew.h"
#include "loadgen/mpi/clock_offset.h"
#include "loadgen/mpi/post.h"
#include "loadgen/options.h"

namespace loadgen::mpi {

class Job final : public Crew {
 public:
  explicit Job(Post& post);

  bool leads() const { return post_.rank() == 0; }
  /// Of several ranks that fail one speaks: the first, while it can be heard.
  bool speaks() const { return leads() || others_[0].lost; }

  /// All ranks have read their command lines: `status` and `text` say what is wrong with this
  /// one's, if anything is. Returns when all are known to have been given the same and found it
  /// right; throws CrewFailed else, which says in the first rank why and in the others nothing.
  void introduce(const std::string& arguments, int status, const std::string& text);

  /// To be called before the run, which the options must outlive.
  void begin(const Options& options);

  Part part() const override { return part_; }
  int look(int signal, IntervalLog& intervals) override;
  std::exception_ptr failure() const override { return failure_; }
  void arrive() override;
  std::optional<net::Nanos> start(net::Nanos ahead) override;
  void hand_in(const Result& own) override;
  bool all_in() override;
  void add_up(Result& result) override;

  /// This rank cannot go on; the first one is told why.
  void fail(int status, const std::string& text);
  /// The first rank tells all others to end with this status. In the others: waits for that, and
  /// returns what it said; `status` where it said nothing.
  int end(int status);

  /// Whether no rank is known to have been lost, and no signal ended the job: MPI_Finalize can be
  /// relied on.
  bool is_orderly() const { return orderly_; }

 private:
  /// What the first rank knows of another.
  struct Other {
    std::string host;
    bool introduced = false;
    bool ready = false;
    bool lost = false;
    bool under_load = false;  // in the others: this one is, and the first one silent
    bool told_to_end = false;
    net::Nanos heard_at = 0;
    ClockOffset clock;
    net::Nanos late = 0;
    std::optional<Result> own;
  };

  template <class Visit>
  void each_other(Visit&& visit);
  net::Nanos patience() const;
  std::string name_of(int rank) const;
  void hear_all();
  void await_seat();
  void seat_all();
  void tell(int signal);
  void beat();
  void answer(int rank);
  void expect_answers();
  void hand_intervals_on(IntervalLog& intervals);
  void lose(int rank);
  void lose_silent_ones();
  void read_letters();
  void read(const Letter& letter);
  void read_as_first(const Letter& letter);
  Rank rank_of(int number, Other& other) const;
  void take_interval(const Letter& letter);
  void take_result(const Letter& letter);
  std::size_t log_number(int rank) const;
  void leave_log(int rank);
  void answer_questions();
  void measure_clock(int rank);
  void tell_all_to_end();
  void fail_for(int rank, const std::string& why, int status);

  Post& post_;
  const Options* options_ = nullptr;
  Part part_;
  std::string own_host_;
  std::string arguments_;
  std::vector<Other> others_;  // by rank; in all but the first rank only that one is looked at
  IntervalLog* intervals_ = nullptr;
  std::exception_ptr failure_;
  bool seated_ = false;
  bool started_ = false;
  bool orderly_ = true;
  int told_ = 0;   // signal
  int heard_ = 0;  // signal
  net::Nanos signalled_at_ = net::kNever;
  net::Nanos beat_next_ = 0;
  int asked_ = -1;  // whose clock is being measured
  net::Nanos answer_ = 0;
  std::optional<net::Nanos> start_;
  net::Nanos late_ = 0;
  std::optional<int> end_status_;
};

}  // namespace loadgen::mpi
