#include "loadgen/mpi/job.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include "cli/exit_code.h"
#include "cli/units.h"
#include "cli/version.h"
#include "loadgen/ranks.h"

namespace loadgen::mpi {
namespace {

constexpr net::Nanos kBeat = 100 * net::kMillisecond;
constexpr net::Nanos kAlive = 5 * kBeat;  // who was heard of since can be told something
constexpr net::Nanos kLeastPatience = 2 * net::kSecond;
// The others read their command lines while this one does; a name server may take some seconds.
constexpr net::Nanos kIntroduction = 15 * net::kSecond;
constexpr net::Nanos kLastWord = 30 * net::kSecond;  // the first rank writes files before it
// Between the last word on a clock and the start; who waits looks every 2 ms.
constexpr net::Nanos kAhead = 50 * net::kMillisecond;
constexpr int kRounds = 20;
constexpr net::Nanos kNextQuestion = 100 * net::kMillisecond;
// mpirun kills a second after SIGTERM (odls_base_sigkill_timeout); until then the report is
// written.
constexpr net::Nanos kAfterSignal = 700 * net::kMillisecond;

std::string own_host() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

std::string version() { return fmt::format("{} ({})", cli::version(), cli::git_revision()); }

}  // namespace

Job::Job(Post& post) : post_(post), own_host_(own_host()) {
  part_.index = static_cast<std::size_t>(post.rank());
  part_.of = static_cast<std::size_t>(post.size());
  others_.resize(part_.of);
  for (Other& other : others_) other.heard_at = net::now();
}

template <class Visit>
void Job::each_other(Visit&& visit) {
  const int end = leads() ? post_.size() : 1;
  for (int rank = leads() ? 1 : 0; rank < end; ++rank) {
    visit(rank, others_[static_cast<std::size_t>(rank)]);
  }
}

net::Nanos Job::patience() const {
  return options_ == nullptr ? kIntroduction : std::max(kLeastPatience, options_->timeout);
}

std::string Job::name_of(int rank) const {
  const std::string& host = others_[static_cast<std::size_t>(rank)].host;
  return host.empty() ? fmt::format("rank {}", rank) : fmt::format("rank {} ({})", rank, host);
}

// ---- before the run

void Job::introduce(const std::string& arguments, int status, const std::string& text) {
  if (leads()) {
    if (status != cli::kOk) throw CrewFailed(text, status);
    arguments_ = arguments;
    others_[0].host = own_host_;
    others_[0].introduced = true;
    hear_all();
  } else {
    post_.send(0, Kind::kHello, {version(), arguments, own_host_, status, text});
    await_seat();
  }
  if (failure_) std::rethrow_exception(failure_);
}

void Job::hear_all() {
  const net::Nanos deadline = net::now() + kIntroduction;
  const auto known = [](const Other& other) { return other.introduced; };
  while (!failure_ && !std::ranges::all_of(others_, known) && net::now() < deadline) {
    read_letters();
    pause();
  }
  each_other([&](int rank, const Other& other) {
    if (!other.introduced) fail_for(rank, "nothing was heard of it", cli::kFailed);
  });
  if (!failure_) seat_all();
}

void Job::await_seat() {
  const net::Nanos deadline = net::now() + 2 * kIntroduction;
  while (!failure_ && !seated_ && net::now() < deadline) {
    read_letters();
    pause();
  }
  if (failure_ || seated_) return;
  others_[0].lost = true;
  fail_for(0, "nothing was heard of it", cli::kFailed);
}

/// Tells each rank how many share its host.
void Job::seat_all() {
  std::map<std::string_view, std::size_t> here;
  for (const Other& other : others_) ++here[other.host];
  std::map<std::string_view, std::size_t> seated;
  for (std::size_t rank = 0; rank < others_.size(); ++rank) {
    const std::string_view host = others_[rank].host;
    const std::size_t index = seated[host]++;
    if (rank == 0) {
      part_.of_here = here[host];
    } else {
      post_.send(static_cast<int>(rank), Kind::kWelcome, {index, here[host], own_host_});
    }
  }
}

void Job::fail_for(int rank, const std::string& why, int status) {
  if (failure_) return;
  failure_ = std::make_exception_ptr(CrewFailed(name_of(rank) + ": " + why, status));
}

// ---- all the time

int Job::look(int signal, IntervalLog& intervals) {
  intervals_ = &intervals;
  if (!leads()) hand_intervals_on(intervals);
  if (signal != 0 && told_ == 0) tell(signal);
  beat();
  read_letters();
  lose_silent_ones();
  return heard_;
}

void Job::tell(int signal) {
  told_ = signal;
  signalled_at_ = net::now();
  orderly_ = false;
  each_other([&](int rank, const Other& other) {
    const bool alive = net::now() - other.heard_at < kAlive;
    if (!leads() || (alive && !other.lost)) post_.send(rank, Kind::kStop, {signal});
  });
}

void Job::beat() {
  const net::Nanos now = net::now();
  if (leads() || now < beat_next_) return;
  beat_next_ = now + kBeat;
  post_.send(0, Kind::kBeat);
}

/// A sign of life is answered by whatever there is to tell.
void Job::answer(int rank) {
  Other& other = others_[static_cast<std::size_t>(rank)];
  if (end_status_) {
    if (!std::exchange(other.told_to_end, true)) {
      post_.send(rank, Kind::kEnd, {*end_status_, orderly_});
    }
  } else if (told_ != 0) {
    post_.send(rank, Kind::kStop, {told_});
  } else if (!other.under_load) {
    post_.send(rank, Kind::kBeat);
  }
}

void Job::hand_intervals_on(IntervalLog& intervals) {
  for (const IntervalLog::Closed& closed : intervals.take_closed()) {
    post_.send(0, Kind::kInterval, {closed.index, closed.end, to_wire(*closed.sum)});
  }
}

void Job::lose_silent_ones() {
  const net::Nanos now = net::now();
  each_other([&](int rank, const Other& other) {
    const bool need_not_speak = other.lost || other.own || (other.under_load && !leads());
    if (!need_not_speak && now - other.heard_at > patience()) lose(rank);
  });
}

void Job::lose(int rank) {
  others_[static_cast<std::size_t>(rank)].lost = true;
  orderly_ = false;
  const std::string silence =
      fmt::format("lost: nothing was heard of it for {}", cli::format_duration(patience()));
  if (!started_ || !leads()) fail_for(rank, silence, cli::kFailed);
  leave_log(rank);
}

/// Behind the first rank's own threads, the log has each other rank for a worker.
std::size_t Job::log_number(int rank) const {
  return options_->threads + static_cast<std::size_t>(rank) - 1;
}

/// Its part of the intervals is not waited for any more.
void Job::leave_log(int rank) {
  if (!leads() || intervals_ == nullptr) return;
  intervals_->leave(log_number(rank));
}

void Job::read_letters() {
  while (const auto letter = post_.receive()) read(*letter);
}

void Job::read(const Letter& letter) {
  Other& from = others_[static_cast<std::size_t>(letter.from)];
  from.heard_at = net::now();
  if (letter.kind == Kind::kStop) heard_ = letter.body.at(0);
  if (leads()) return read_as_first(letter);
  switch (letter.kind) {
    case Kind::kWelcome:
      part_.index_here = letter.body.at(0);
      part_.of_here = letter.body.at(1);
      from.host = letter.body.at(2);
      seated_ = true;
      break;
    case Kind::kAsk:
      answer_questions();
      break;
    case Kind::kStart:
      start_ = letter.body.at(0);
      late_ = std::max(late_, net::now() - *start_);
      from.under_load = true;
      break;
    case Kind::kEnd:
      end_status_ = letter.body.at(0).get<int>();
      orderly_ = orderly_ && letter.body.at(1).get<bool>();
      if (!failure_) failure_ = std::make_exception_ptr(CrewFailed("", *end_status_));
      break;
    default:
      break;
  }
}

void Job::read_as_first(const Letter& letter) {
  Other& from = others_[static_cast<std::size_t>(letter.from)];
  if (letter.kind == Kind::kBeat || end_status_) answer(letter.from);
  if (from.lost || end_status_) return;
  switch (letter.kind) {
    case Kind::kHello:
      from.introduced = true;
      from.host = letter.body.at(2);
      if (letter.body.at(3) != 0) {
        fail_for(letter.from, letter.body.at(4), letter.body.at(3));
      } else if (letter.body.at(0) != version()) {
        fail_for(letter.from,
                 fmt::format("is loadgen-mpi {}, and rank 0 is {}",
                             letter.body.at(0).get<std::string>(), version()),
                 cli::kFailed);
      } else if (letter.body.at(1) != arguments_) {
        fail_for(letter.from, "was given other options: all ranks need the same", cli::kUsage);
      }
      break;
    case Kind::kReady:
      from.ready = true;
      from.under_load = false;
      break;
    case Kind::kAnswer:
      if (letter.from == asked_) answer_ = letter.body.at(0);
      break;
    case Kind::kInterval:
      take_interval(letter);
      break;
    case Kind::kResult:
      take_result(letter);
      break;
    case Kind::kFailed:
      fail_for(letter.from, letter.body.at(1), letter.body.at(0));
      break;
    default:
      break;
  }
}

/// From the first rank, to which this one has just become a rank that waits.
void Job::expect_answers() {
  others_[0].under_load = false;
  others_[0].heard_at = net::now();
}

// ---- the start

void Job::arrive() {
  if (leads()) return;
  expect_answers();
  post_.send(0, Kind::kReady);
}

std::optional<net::Nanos> Job::start(net::Nanos ahead) {
  if (!leads()) return std::exchange(start_, std::nullopt);
  bool all = true;
  const net::Nanos alive = net::now() - kAlive;
  each_other([&](int, const Other& other) {
    all = all && (other.lost || (other.ready && other.heard_at > alive));
  });
  if (!all || failure_) return std::nullopt;
  each_other([&](int rank, const Other& other) {
    if (!other.lost) measure_clock(rank);
  });
  if (failure_) return std::nullopt;
  started_ = true;
  const net::Nanos start = net::now() + std::max(ahead, kAhead);
  each_other([&](int rank, Other& other) {
    other.ready = false;
    other.under_load = true;
    if (!other.lost) post_.send(rank, Kind::kStart, {start + other.clock.offset()});
  });
  return start;
}

void Job::measure_clock(int rank) {
  Other& other = others_[static_cast<std::size_t>(rank)];
  other.clock = {};
  asked_ = rank;
  while (other.clock.rounds() < kRounds && !other.lost) {
    answer_ = 0;
    const net::Nanos asked = net::now();
    post_.send(rank, Kind::kAsk);
    while (answer_ == 0 && !other.lost) {
      read_letters();
      if (answer_ != 0) break;
      lose_silent_ones();
      std::this_thread::yield();
    }
    if (answer_ != 0) other.clock.add(asked, answer_, net::now());
  }
  asked_ = -1;
}

/// While the first rank asks for the clock, every answer has to come at once.
void Job::answer_questions() {
  const auto answer = [this] { post_.send(0, Kind::kAnswer, {net::now()}); };
  answer();
  net::Nanos until = net::now() + kNextQuestion;
  while (net::now() < until && !start_ && !failure_) {
    const auto letter = post_.receive();
    if (!letter) {
      std::this_thread::yield();
    } else if (letter->kind == Kind::kAsk) {
      answer();
      until = net::now() + kNextQuestion;
    } else {
      read(*letter);
    }
  }
}

// ---- the end

void Job::hand_in(const Result& own) {
  if (leads()) return;
  expect_answers();
  post_.send(0, Kind::kResult, {late_, to_wire(own)});
}

bool Job::all_in() {
  if (!leads()) return post_.all_sent() || others_[0].lost || failure_;
  bool all = true;
  const bool too_late = signalled_at_ != net::kNever && net::now() - signalled_at_ > kAfterSignal;
  each_other([&](int rank, const Other& other) {
    if (other.lost || other.own) return;
    if (too_late) return lose(rank);
    all = false;
  });
  return all || failure_;
}

void Job::add_up(Result& result) {
  if (!leads()) return;
  std::vector<Rank> ranks;
  ranks.push_back({.host = own_host_, .own = std::move(result)});
  each_other([&](int rank, Other& other) { ranks.push_back(rank_of(rank, other)); });
  result = total_of(std::move(ranks), *options_);
}

/// What it found, taken out of it.
Rank Job::rank_of(int number, Other& other) const {
  Rank rank{.host = other.host,
            .clock_offset = other.clock.offset(),
            .clock_error = other.clock.error(),
            .late = other.late,
            .lost = other.lost,
            .own = {}};
  if (other.own) rank.own = std::move(*other.own);
  const Part part{.index = static_cast<std::size_t>(number), .of = part_.of};
  rank.own.options = *options_;
  rank.own.options.connections = connections_of(part, options_->threads, options_->connections);
  return rank;
}

void Job::take_interval(const Letter& letter) {
  if (intervals_ == nullptr) return;
  intervals_->add(log_number(letter.from), letter.body.at(0), letter.body.at(1),
                  histogram_from_wire(letter.body.at(2)));
}

void Job::take_result(const Letter& letter) {
  Other& from = others_[static_cast<std::size_t>(letter.from)];
  from.under_load = false;
  from.late = letter.body.at(0);
  from_wire(letter.body.at(1), from.own.emplace());
  leave_log(letter.from);
}

void Job::begin(const Options& options) {
  options_ = &options;
  for (Other& other : others_) other.heard_at = net::now();
}

void Job::fail(int status, const std::string& text) {
  if (!leads() && !end_status_) post_.send(0, Kind::kFailed, {status, text});
}

int Job::end(int status) {
  intervals_ = nullptr;  // the run is over, and what was its own with it
  options_ = nullptr;
  if (leads()) {
    end_status_ = status;
    tell_all_to_end();
  }
  const auto is_there = [this] { return net::now() - others_[0].heard_at < kLastWord; };
  for (; !end_status_ && !others_[0].lost && is_there(); pause()) {
    beat();
    read_letters();
  }
  return end_status_.value_or(status);
}

void Job::tell_all_to_end() {
  const net::Nanos deadline = net::now() + kLeastPatience;
  const auto knows = [this](const Other& other) {
    return &other == &others_[0] || other.lost || other.told_to_end;
  };
  while (net::now() < deadline && !(std::ranges::all_of(others_, knows) && post_.all_sent())) {
    read_letters();
    pause();
  }
}

}  // namespace loadgen::mpi
