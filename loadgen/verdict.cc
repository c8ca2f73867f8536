#include "loadgen/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "cli/units.h"

namespace loadgen {
namespace {

// The limits; docs/MEASURING.md says where each comes from.
constexpr double kAchieved = 0.95;        // of the rate asked for, below which it is another run
constexpr double kStalled = 0.01;         // of the window, in which loadgen did not run
constexpr double kBusy = 0.95;            // of its time, above which the generator may be full
constexpr double kOwnLag = 0.2;           // of the mean latency, that is loadgen's own lateness
constexpr double kStolen = 0.01;          // of all CPUs' time
constexpr double kThroughputDrift = 0.2;  // between the halves of the window
constexpr double kLatencyDrift = 2;       // between the halves, as a factor
constexpr double kLittle = 0.02;          // by which Little's law may be off
constexpr double kSpare = 0.1;            // of the server's CPUs, that it left unused
constexpr double kHelpers = 0.1;          // of the server's CPU time
constexpr std::int64_t kSamples = 100 * Histogram::kSamplesAbove;  // that p99 needs

std::string percent(double fraction) { return fmt::format("{:.3g} %", 100 * fraction); }

std::string time(double ns) { return cli::format_duration(std::llround(ns)); }

class Judge {
 public:
  Judge(const Result& result, bool is_part)
      : result_(result), tally_(result.tally), is_part_(is_part) {}

  Verdict operator()() {
    ranks();
    answers();
    rate();
    connections();
    if (tally_.latency.count() == 0) {
      invalid("no_samples", "no message was sent and answered",
              "lengthen --duration, or see that the server answers");
      return std::move(verdict_);
    }
    if (result_.ranks.empty()) {
      client();
      machine();
    }
    steadiness();
    bookkeeping();
    samples();
    return std::move(verdict_);
  }

 private:
  void invalid(const char* code, std::string message, std::string advice) {
    verdict_.status = Verdict::Status::kInvalid;
    verdict_.reasons.push_back({code, std::move(message), std::move(advice)});
  }
  void questionable(const char* code, std::string message, std::string advice) {
    verdict_.status = std::max(verdict_.status, Verdict::Status::kQuestionable);
    verdict_.reasons.push_back({code, std::move(message), std::move(advice)});
  }

  // ---- what its ranks say of themselves: each knows its own process and machine

  void ranks() {
    for (std::size_t i = 0; i < result_.ranks.size(); ++i) {
      const Rank& rank = result_.ranks[i];
      rank_is(rank, fmt::format("rank {} ({})", i, rank.host));
    }
  }

  void rank_is(const Rank& rank, const std::string& who) {
    if (rank.lost) {
      return invalid("rank_lost", fmt::format("nothing was heard of {} at the end", who),
                     "it died, was stopped, or its network failed: its part is in no figure");
    }
    if (rank.late > 0) {
      questionable(
          "rank_late",
          fmt::format("{} missed the start by {}", who, time(static_cast<double>(rank.late))),
          "the load was not whole from the beginning: lengthen --warmup, and end what else "
          "runs there");
    }
    const Verdict verdict = judge_part(rank.own);
    if (verdict.reasons.empty()) return;
    const auto is = [](const char* code) {
      return [code](const Verdict::Reason& reason) { return reason.code == code; };
    };
    stalled_ = stalled_ || std::ranges::any_of(verdict.reasons, is("client_stalled"));
    const Verdict::Reason& first = verdict.reasons.front();
    const std::size_t more = verdict.reasons.size() - 1;
    const std::string what = fmt::format("{}: {}: {}{}", who, first.code, first.message,
                                         more == 0 ? "" : fmt::format("; and {} more", more));
    if (verdict.status == Verdict::Status::kInvalid) {
      invalid("rank_invalid", what, first.advice);
    } else {
      questionable("rank_questionable", what, first.advice);
    }
  }

  // ---- what makes a run worthless

  void answers() {
    if (tally_.corrupt > 0) {
      invalid("corrupt", fmt::format("wrong bytes came back {} times", tally_.corrupt),
              "see errors for what was wrong, and mend the server");
    }
    if (tally_.unanswered > 0) {
      invalid("unanswered", fmt::format("{} messages were not answered", tally_.unanswered),
              "they count as infinite latency; see errors for why, or lengthen --timeout");
    }
    if (tally_.unsent > 0) {
      invalid("unsent", fmt::format("{} messages fell due and were never sent", tally_.unsent),
              "lower --rate, or allow more outstanding ones: --connections, --pipeline");
    }
  }

  void rate() {
    // Of a handful of messages the last one's reply may just fall behind the window's end.
    const bool misses = tally_.answered_in_window + Histogram::kSamplesAbove <= tally_.due &&
                        static_cast<double>(tally_.answered_in_window) <
                            kAchieved * static_cast<double>(tally_.due);
    if (!result_.open_loop() || !misses) return;
    const double asked = result_.per_second(tally_.due);
    const double answered = result_.messages_per_second();
    invalid("rate_not_achieved",
            fmt::format("answered {} where {} were asked for, {}", cli::format_rate(answered),
                        cli::format_rate(asked), percent(answered / asked)),
            "lower --rate: latency at a rate that was not held is that of a growing queue");
  }

  void connections() {
    if (tally_.connections_failed > 0) {
      invalid("connections_failed",
              fmt::format("{} of {} connections could not be opened", tally_.connections_failed,
                          tally_.connections_opened + tally_.connections_failed),
              tally_.errors.contains("address_not_available")
                  ? "no local port was free: widen net.ipv4.ip_local_port_range"
                  : "see errors for why; ulimit -n bounds them on both sides");
    }
    if (tally_.connections_lost > 0) {
      invalid("connections_lost",
              fmt::format("{} connections ended before the run did, {} were made anew",
                          tally_.connections_lost, tally_.connections_remade),
              "see errors for why");
    }
  }

  // ---- whether loadgen measured itself

  void client() {
    const auto window = static_cast<double>(result_.elapsed) *
                        static_cast<double>(std::max<std::size_t>(1, result_.options.threads));
    const net::Nanos lost = std::max(tally_.stalled, result_.run_delay);
    stalled_ = static_cast<double>(lost) > kStalled * window;
    if (stalled_) {
      const auto longest = static_cast<double>(tally_.longest_stall);
      const std::string stretch = longest == 0
                                      ? "in stretches of less than 5 ms"
                                      : fmt::format("at most {} at a stretch", time(longest));
      questionable("client_stalled",
                   fmt::format("loadgen itself did not run for {} of {} ({})",
                               time(static_cast<double>(lost)), time(window), stretch),
                   "give it a core of its own (--cpu), and end what else runs; these delays are "
                   "not the server's");
    }
    if (tally_.busy > kBusy && server_had_time()) {
      questionable("client_bound",
                   fmt::format("loadgen's busiest thread worked {} of the time, the server did not",
                               percent(tally_.busy)),
                   "loadgen was the bottleneck: more threads (-t) on cores of their own, or less "
                   "load");
    }
    own_lag();
  }

  /// Where both sides are full, what was measured is the pair. A server that is not seen is taken
  /// to have had time.
  bool server_had_time() const {
    if (!result_.server) return true;
    const int others = result_.usable_cpus - static_cast<int>(result_.options.threads);
    const int could_use = std::clamp(others, 1, std::max(1, result_.server->threads));
    return result_.server->cpu.utilisation() < (1 - kSpare) * could_use;
  }

  void own_lag() {
    // Sends that the peer holds up make the next ones late, and that is not loadgen's doing.
    const auto count = static_cast<double>(tally_.send_lag.count());
    // So do connections that are being replaced.
    const bool others = tally_.parked > 0 || result_.options.churn;
    if (!result_.open_loop() || stalled_ || others || count == 0) return;
    const double own = tally_.send_lag.mean() - static_cast<double>(tally_.held_up) / count;
    const double latency = tally_.latency.mean();
    if (own <= kOwnLag * latency) return;
    questionable("client_late",
                 fmt::format("loadgen sent {} late on average, {} of the mean latency", time(own),
                             percent(own / latency)),
                 "read service_ns for the server's part; a core of its own (--cpu), "
                 "--busy-poll=always or a lower --rate make loadgen punctual");
  }

  // ---- whether the machine was theirs

  void machine() {
    if (result_.steal_fraction.value_or(0) > kStolen) {
      questionable("stolen_cpu",
                   fmt::format("the hypervisor gave {} of the CPUs' time to others",
                               percent(*result_.steal_fraction)),
                   "repeat it at a quieter time, or on a machine of your own");
    }
    if (result_.only_cpu) {
      questionable("one_core",
                   fmt::format("loadgen and the server must share CPU {}", *result_.only_cpu),
                   "bind each to a CPU of its own (--cpu), or measure from another machine");
    }
    if (!result_.server) return;
    const ServerUse& server = *result_.server;
    const auto helpers = static_cast<double>(server.helpers);
    const auto all = static_cast<double>(server.cpu.time);
    if (helpers > kHelpers * all) {
      questionable("server_helpers",
                   fmt::format("io_uring's kernel threads did {} of the server's work",
                               percent(std::min(1.0, helpers / std::max(1.0, all)))),
                   "the server takes more than its own threads' CPUs: compare CPU time, and look "
                   "for SQPOLL and for requests that go to io-wq");
    }
  }

  // ---- whether it measured one thing

  /// What is typical of the half of the window with the larger figures, and the figure of the other
  /// half that is nearest to it: a hiccup in one or two tenths changes neither.
  struct Halves {
    double first, second;
  };

  template <class Figure>
  Halves halves(Figure figure, bool hiccups_are_low) const {
    constexpr std::size_t kHalf = Tenths::kParts / 2;
    std::array<double, Tenths::kParts> values{};
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = figure(tally_.tenths.parts[i]);
    const auto middle = values.begin() + kHalf;
    std::sort(values.begin(), middle);
    std::sort(middle, values.end());
    // Hiccups are on one side of the others, so the best tenth of the worse half has none.
    const bool first_is_worse = (values[kHalf / 2] < values[kHalf + kHalf / 2]) == hiccups_are_low;
    const std::size_t best = hiccups_are_low ? kHalf - 1 : 0;
    return {values[first_is_worse ? best : kHalf / 2],
            values[kHalf + (first_is_worse ? kHalf / 2 : best)]};
  }

  void steadiness() {
    // A stall of loadgen's own explains what follows; a window without an end has no tenths, and
    // one that a signal cut short not all of them.
    if (stalled_ || result_.options.messages || result_.signal != 0) return;
    throughput();
    // In a closed loop mean latency is outstanding messages over throughput: nothing new.
    if (result_.open_loop()) latency();
  }

  void throughput() {
    const auto count = [](const Tenths::Part& part) { return static_cast<double>(part.messages); };
    const auto [first, second] = halves(count, true);
    const double more = std::max(first, second);
    // Five standard deviations of a count of independent arrivals: chance is no drift.
    const double chance = 5 * std::sqrt(more);
    const double per_second =
        Tenths::kParts * static_cast<double>(net::kSecond) / static_cast<double>(result_.elapsed);
    const auto rate = [&](double messages) { return cli::format_rate(messages * per_second); };
    if (std::abs(first - second) > std::max(kThroughputDrift * more, chance)) {
      questionable("unsteady_throughput",
                   fmt::format("{} in the first half of the window, {} in the second", rate(first),
                               rate(second)),
                   "lengthen --warmup, and see that nothing else runs; loadgen itself ran all the "
                   "time");
      return;
    }
    const auto& parts = tally_.tenths.parts;
    const auto least =
        std::ranges::min_element(parts, {}, [](const Tenths::Part& part) { return part.messages; });
    if (count(*least) < 0.5 * more && more - count(*least) > chance) {
      questionable("unsteady_throughput",
                   fmt::format("in one tenth of the window {}, elsewhere {}", rate(count(*least)),
                               rate(more)),
                   "loadgen itself ran all the time: the server stalled, or the network");
    }
  }

  void latency() {
    const auto enough = [](const Tenths::Part& part) { return part.messages >= 20; };
    if (!std::ranges::all_of(tally_.tenths.parts, enough)) return;
    const auto [first, second] =
        halves([](const auto& part) { return part.mean_latency(); }, false);
    if (std::max(first, second) <= kLatencyDrift * std::min(first, second)) return;
    questionable("unsteady_latency",
                 fmt::format("{} on average in the first half of the window, {} in the second",
                             time(first), time(second)),
                 "a growing latency is a queue that no rate above the capacity empties: lower "
                 "--rate; a falling one asks for a longer --warmup");
  }

  // ---- whether the figures fit each other

  void bookkeeping() {
    const bool closed = !result_.open_loop() && !result_.options.churn;
    if (!closed || tally_.answered_in_window == 0) return;
    const auto answered = static_cast<double>(tally_.answered_in_window);
    const double cycle = tally_.latency.mean() + static_cast<double>(tally_.turnaround) / answered;
    // At the ends of the window some messages are half in it, and one may be the longest.
    const double longest = std::max(cycle, static_cast<double>(tally_.latency.max()));
    if (100 * longest > static_cast<double>(result_.elapsed)) return;
    const double outstanding = answered * cycle / static_cast<double>(result_.elapsed);
    const auto asked = static_cast<double>(result_.options.connections) *
                       static_cast<double>(result_.options.pipeline);
    if (std::abs(outstanding / asked - 1) <= kLittle) return;
    questionable("littles_law",
                 fmt::format("throughput x latency makes {:.1f} messages outstanding, not {:.0f}",
                             outstanding, asked),
                 "some connections waited for long, or the clocks are wrong: look at intervals");
  }

  void samples() {
    if (is_part_) return;
    const std::int64_t count = result_.latency().samples.count() + result_.latency().infinite;
    if (count >= kSamples) return;
    questionable("few_samples",
                 fmt::format("{} samples; p99 needs {}", count, cli::format_count(kSamples)),
                 "lengthen --duration");
  }

  const Result& result_;
  const Tally& tally_;
  bool is_part_;
  Verdict verdict_;
  bool stalled_ = false;
};

}  // namespace

std::string_view name_of(Verdict::Status status) {
  switch (status) {
    case Verdict::Status::kValid:
      return "valid";
    case Verdict::Status::kQuestionable:
      return "questionable";
    case Verdict::Status::kInvalid:
      break;
  }
  return "invalid";
}

Verdict judge(const Result& result) { return Judge(result, false)(); }

Verdict judge_part(const Result& own) { return Judge(own, true)(); }

}  // namespace loadgen
