#include "loadgen/run.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "loadgen/host_cpu.h"
#include "loadgen/live_line.h"
#include "loadgen/server_process.h"
#include "loadgen/share.h"
#include "loadgen/worker.h"
#include "net/fd.h"

namespace loadgen {
namespace {

constexpr net::Nanos kShortStep = 2 * net::kMillisecond;
constexpr net::Nanos kStep = 50 * net::kMillisecond;

// A load generator is an instrument: where it has a core to itself it does not sleep, for its own
// wake-up would be in every sample. `all_threads`: those of the run on this host.
net::Nanos spin_of(const Options& options, std::size_t all_threads) {
  const int cpus = net::usable_cpus();
  const auto threads = static_cast<int>(all_threads);
  const bool share_cpus = !options.cpus.empty() && options.cpus.size() < all_threads;
  if (share_cpus && options.busy_poll.kind() == net::BusyPoll::Kind::kAuto) return 0;
  if (options.busy_poll.kind() == net::BusyPoll::Kind::kAuto)
    return cpus > threads ? net::kNever : 0;
  return options.busy_poll.spin(cpus, threads);
}

std::vector<std::string> uring_features([[maybe_unused]] net::Backend backend) {
#ifdef ECHOBENCH_URING
  if (backend == net::Backend::kUring) return net::uring_features_here().names();
#endif
  return {};
}

/// What is read at both ends of the window.
struct Reading {
  net::Nanos at = 0;
  net::Nanos client = 0;
  net::Nanos server = 0;
  std::optional<HostCpu> host;
  net::Nanos run_delay = 0;
  net::Nanos helpers = 0;
  int server_threads = 0;

  static Reading take(const std::optional<ServerProcess>& server,
                      const std::vector<pid_t>& workers) {
    Reading reading{.at = net::now(),
                    .client = own_cpu_time(),
                    .server = server ? server->cpu_time() : 0,
                    .host = HostCpu::sample()};
    for (const pid_t worker : workers) reading.run_delay += loadgen::run_delay(worker);
    if (server) reading.helpers = server->helper_cpu_time();
    if (server) reading.server_threads = server->threads();
    return reading;
  }
};

class Run {
 public:
  Run(const Options& options, net::Signals& signals, Crew& crew)
      : options_(options),
        signals_(signals),
        crew_(crew),
        part_(crew.part()),
        payload_(options.seed + part_.index, options.message_size),
        shared_{.options = options,
                .payload = payload_,
                .rendezvous = Rendezvous(options.threads),
                .intervals = interval_log(options.threads, part_)},
        live_(options.quiet, options.interval) {
    result_.options = options;
    result_.options.connections = connections_of(part_, options.threads, options.connections);
    result_.started_at = std::chrono::system_clock::now();
    if (!options.hdr.empty()) shared_.hdr_log.emplace(options.threads, options.interval);
  }

  Result operator()() {
    choose_backend();
    start_workers();
    wait_until_all_here("connecting");
    if (crew_.failure() || (shared_.opened == 0 && result_.signal == 0)) {
      release_and_join({});
      throw_first_failure();
      throw NoConnection(fmt::format("cannot connect to {}: {}", options_.target.to_string(),
                                     std::strerror(joined_.connect_errno)));
    }
    server_ = ServerProcess::find(options_.target);
    note_cpus();
    before_ = after_ = read();  // which is all there is where a signal comes before the window
    if (!shared_.stop) measure();
    release_and_join({});
    throw_first_failure();
    return report();
  }

 private:
  struct Thread {
    net::Fd wake;
    std::thread thread;
    pid_t id = 0;  // once it has arrived at the rendezvous
    Tally tally;
    std::exception_ptr failure;
  };

  void choose_backend() {
    std::string why_not;
    result_.backend = options_.backend ? *options_.backend : net::best_backend(why_not);
    result_.uring_features = uring_features(result_.backend);
  }

  void start_workers() {
    const net::Nanos spin = spin_of(options_, options_.threads * part_.of_here);
    shared_.spins = spin == net::kNever;
    cpus_ = options_.cpus.empty() ? allowed_cpus(0)
                                  : std::set<int>(options_.cpus.begin(), options_.cpus.end());
    pin(0);  // this thread has little to do, and the server's CPU is not its place
    threads_.resize(options_.threads);
    for (Thread& thread : threads_) {
      thread.wake = net::Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
      if (!thread.wake) throw std::system_error(errno, std::generic_category(), "eventfd");
    }
    std::size_t started = 0;
    try {
      for (; started < threads_.size(); ++started) start_worker(share(started), spin);
    } catch (...) {
      for (; started < threads_.size(); ++started) shared_.rendezvous.leave();
      stop_workers();
      wait_until_all_here("");
      release_and_join({});
      throw;
    }
  }

  /// The first process of a crew has each of the others for a further worker of its log.
  static IntervalLog interval_log(std::size_t threads, const Part& part) {
    if (part.index > 0) return IntervalLog(threads, true);
    return IntervalLog(threads + part.of - 1);
  }

  Share share(std::size_t worker) const {
    return share_of(part_, worker, options_.threads, options_.connections);
  }

  void pin(std::size_t worker) const {
    if (options_.cpus.empty()) return;
    const std::size_t number = part_.index_here * options_.threads + worker;
    net::pin_to_cpu(options_.cpus[number % options_.cpus.size()]);
  }

  void start_worker(Share share, net::Nanos spin) try {
    Thread& slot = threads_[share.worker];
    slot.thread = std::thread([this, &slot, share, spin] {
      slot.id = static_cast<pid_t>(::syscall(SYS_gettid));
      try {
        pin(share.worker);
        net::with_engine(result_.backend, spin, [&](net::Engine auto& io) {
          Worker<std::remove_reference_t<decltype(io)>> worker(shared_, share, slot.wake.get());
          slot.tally = worker.run(io);
        });
      } catch (...) {
        slot.failure = std::current_exception();
        shared_.failed = true;
      }
      shared_.intervals.leave(share.worker);
      shared_.rendezvous.leave();
    });
  } catch (const std::system_error& failure) {
    throw std::system_error(failure.code(), "cannot start a thread");
  }

  /// The CPUs of the workers and of the server together.
  void note_cpus() {
    std::set<int> both = server_ ? server_->cpus() : std::set<int>();
    const bool server_seen = !both.empty();
    both.insert(cpus_.begin(), cpus_.end());
    const std::size_t taken = options_.threads * (part_.of_here - 1);  // by others of the crew
    result_.usable_cpus = static_cast<int>(std::max(both.size(), taken + 1) - taken);
    if (server_seen && both.size() == 1) result_.only_cpu = *both.begin();
  }

  std::vector<pid_t> worker_ids() const {
    std::vector<pid_t> ids;
    for (const Thread& thread : threads_) ids.push_back(thread.id);
    return ids;
  }

  Reading read() const { return Reading::take(server_, worker_ids()); }

  /// Warm-up and window. Messages are counted from a standing start, so that a warm-up before them
  /// is a phase of its own; a duration is cut out of a load that goes on.
  void measure() {
    const net::Nanos start = meet();
    if (shared_.stop) return;
    if (!options_.messages) {
      const net::Nanos begin = start + options_.warmup;
      return window(
          {.run = true, .start = start, .begin = begin, .end = begin + options_.duration});
    }
    if (options_.warmup > 0) {
      shared_.rendezvous.release({.run = true, .start = start, .end = start + options_.warmup});
      wait_until_all_here("warming up");
      if (shared_.stop) return;
    }
    const net::Nanos begin = options_.warmup > 0 ? meet() : start;
    if (shared_.stop) return;
    window({.run = true, .start = begin, .begin = begin, .messages = *options_.messages});
  }

  /// Waits for the crew; when the next phase starts. A schedule begins when all workers are sure to
  /// be there, or its first messages would be late.
  net::Nanos meet() {
    const net::Nanos ahead = options_.rate ? kShortStep : 0;
    crew_.arrive();
    auto start = crew_.start(ahead);
    for (; !start && !shared_.stop; start = crew_.start(ahead)) {
      attend(kShortStep, "waiting for the others");
    }
    while (!shared_.stop && net::now() < *start - ahead) {
      attend(*start - ahead - net::now(), "waiting for the start");
    }
    return start.value_or(net::now());
  }

  void window(const Phase& phase) {
    phase_ = phase;
    shared_.rendezvous.release(phase);
    while (!shared_.stop && net::now() < phase.begin && !all_here()) {
      attend(std::min(kStep, phase.begin - net::now()), "warming up");
    }
    before_ = after_ = read();
    // Messages may be used up at any time, and what comes after is not to be read.
    const net::Nanos step = options_.messages ? 0 : kStep;
    const net::Nanos look = options_.messages ? kShortStep : 0;
    while (!shared_.stop && net::now() < phase.end &&
           !shared_.rendezvous.all_here(net::now() + look)) {
      attend(std::min(step, phase.end - net::now()), "");
    }
    after_ = read();
    wait_until_all_here("waiting for replies");
  }

  Result report() {
    result_.tally = std::move(joined_);
    result_.elapsed = phase_.run ? std::max<net::Nanos>(0, result_.tally.ended - phase_.begin) : 0;
    if (shared_.hdr_log) result_.hdr_log = shared_.hdr_log->text(wall_clock(phase_.begin));
    const net::Nanos between = after_.at - before_.at;
    result_.client = {.time = after_.client - before_.client, .elapsed = between};
    result_.steal_fraction = steal_fraction(before_.host, after_.host);
    result_.run_delay = after_.run_delay - before_.run_delay;
    if (server_) {
      result_.server =
          ServerUse{.pid = server_->pid(),
                    .command = server_->command(),
                    // One at least, or it would not have been found.
                    .threads = std::max({1, before_.server_threads, after_.server_threads}),
                    .cpu = {.time = after_.server - before_.server, .elapsed = between},
                    .helpers = std::max<net::Nanos>(0, after_.helpers - before_.helpers)};
    }
    add_up();
    return std::move(result_);
  }

  void add_up() {
    crew_.look(result_.signal, shared_.intervals);
    crew_.hand_in(result_);
    while (!crew_.all_in()) attend(kShortStep, "waiting for the others");
    throw_first_failure();
    crew_.add_up(result_);
    result_.intervals = shared_.intervals.all(options_.interval);
  }

  std::chrono::system_clock::time_point wall_clock(net::Nanos t) const {
    const std::chrono::nanoseconds since(phase_.run ? t - started_ : 0);
    return result_.started_at +
           std::chrono::duration_cast<std::chrono::system_clock::duration>(since);
  }

  // ---- waiting

  bool all_here() { return shared_.rendezvous.all_here(net::now()); }

  void wait_until_all_here(std::string_view phase) {
    while (!shared_.rendezvous.all_here(net::now() + kShortStep)) attend(0, phase);
  }

  /// Waits for a signal for at most this long, and keeps the live line going.
  void attend(net::Nanos longest, std::string_view phase) {
    pollfd signal_fd{.fd = signals_.fd(), .events = POLLIN, .revents = 0};
    const timespec timeout{.tv_sec = 0, .tv_nsec = std::clamp<net::Nanos>(longest, 0, kStep)};
    ::ppoll(&signal_fd, 1, &timeout, nullptr);
    if (const int signal = signals_.next()) {
      if (result_.signal == 0) result_.signal = signal;
      stop_workers();
    }
    if (const int elsewhere = crew_.look(result_.signal, shared_.intervals)) {
      if (result_.signal == 0) result_.signal = elsewhere;
      stop_workers();
    }
    if (shared_.failed || shared_.signing || crew_.failure()) stop_workers();
    show(phase);
  }

  void stop_workers() {
    shared_.stop = true;
    for (const Thread& thread : threads_) ::eventfd_write(thread.wake.get(), 1);
  }

  void show(std::string_view phase) {
    const net::Nanos now = net::now();
    if (now < show_next_) return;
    show_next_ = now + 2 * kStep;
    LiveLine::State state;
    state.phase = phase;
    state.errors = shared_.errors;
    if (phase.empty()) {
      state.elapsed = now - phase_.begin;
      state.total = options_.messages ? 0 : options_.duration;
      state.interval = shared_.intervals.newest();
    } else {
      state.elapsed = now - started_;
    }
    live_.show(state);
  }

  // ---- ending

  void release_and_join(const Phase& last) {
    shared_.rendezvous.release(last);
    for (Thread& thread : threads_) {
      if (!thread.thread.joinable()) continue;
      thread.thread.join();
      joined_.add(thread.tally);
    }
  }

  void throw_first_failure() const {
    for (const Thread& thread : threads_) {
      if (thread.failure) std::rethrow_exception(thread.failure);
    }
    if (shared_.signing) {
      throw SigningServer(
          "the server signs what it returns (echo-server --sign): nothing to measure, since an "
          "echo "
          "has to return every byte as it came");
    }
    if (const std::exception_ptr elsewhere = crew_.failure()) std::rethrow_exception(elsewhere);
  }

  const Options& options_;
  net::Signals& signals_;
  Crew& crew_;
  Part part_;
  Payload payload_;
  Shared shared_;
  LiveLine live_;
  std::vector<Thread> threads_;
  std::set<int> cpus_;
  std::optional<ServerProcess> server_;
  Phase phase_;
  Reading before_, after_;
  Tally joined_;
  Result result_;
  net::Nanos started_ = net::now();
  net::Nanos show_next_ = 0;
};

}  // namespace

Result run(const Options& options, net::Signals& signals) {
  Crew alone;
  return run(options, signals, alone);
}

Result run(const Options& options, net::Signals& signals, Crew& crew) {
  return Run(options, signals, crew)();
}

}  // namespace loadgen
