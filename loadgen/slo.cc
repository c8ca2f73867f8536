#include "loadgen/slo.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "cli/units.h"
#include "loadgen/result.h"
#include "loadgen/verdict.h"

namespace loadgen {
namespace {

constexpr std::size_t kAgree = 2;     // slices decide on a rate
constexpr std::size_t kForgiven = 2;  // disturbed ones of a rate that do not count

std::string rate_of(double per_second) { return cli::format_rate(per_second); }

std::string rate_of(std::uint64_t rate) { return rate_of(static_cast<double>(rate)); }

std::string limit_of(const Slo& slo) {
  return fmt::format("{} < {}", slo.name, cli::format_duration(slo.limit));
}

struct Votes {
  std::size_t held = 0;
  std::size_t missed = 0;
};

Votes votes_of(const std::vector<SloSlice>& slices) {
  Votes votes;
  std::size_t forgiven = 0;
  for (const SloSlice& slice : slices) {
    if (slice.held) {
      ++votes.held;
    } else if (!slice.disturbed || ++forgiven > kForgiven) {
      ++votes.missed;
    }
  }
  return votes;
}

}  // namespace

std::uint64_t Slo::samples() const {
  const double above = Histogram::kSamplesAbove / (1 - quantile);
  return static_cast<std::uint64_t>(std::ceil(1.1 * above));  // a little more than just enough
}

Slo parse_slo(std::string_view text) {
  const cli::BadValue bad("a percentile from p50 to p99.99 and a limit, such as p99<2ms");
  const std::size_t less = text.find('<');
  if (less == std::string_view::npos || !text.starts_with('p')) throw bad;
  const std::string_view number = text.substr(1, less - 1);
  double percent = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), percent,
                                            std::chars_format::fixed);
  const bool read = error == std::errc() && end == number.data() + number.size();
  if (!read || !(percent >= 50 && percent <= 99.99)) throw bad;
  Slo slo{.name = std::string(text.substr(0, less)), .quantile = percent / 100, .limit = 0};
  slo.limit = cli::parse_duration(text.substr(less + 1), net::kMicrosecond, 3600 * net::kSecond);
  return slo;
}

SloSlice judge_slice(const Slo& slo, const Result& result, const Verdict& verdict) {
  SloSlice slice{.figure = result.latency().quantile(slo.quantile),
                 .answered = result.messages_per_second(),
                 .invalid = verdict.status == Verdict::Status::kInvalid};
  slice.held = !slice.invalid && slice.figure && *slice.figure < slo.limit;
  slice.disturbed = std::ranges::any_of(verdict.reasons, [](const Verdict::Reason& reason) {
    return reason.code == "client_stalled" || reason.code == "stolen_cpu";
  });
  return slice;
}

bool SloStep::decided() const {
  const Votes votes = votes_of(slices);
  return std::max(votes.held, votes.missed) >= kAgree;
}

bool SloStep::held() const { return votes_of(slices).held >= kAgree; }

void RateSearch::tell(bool held) {
  (held ? held_ : missed_) = next_;
  next_.reset();
  if (!missed_) {
    if (*held_ < kHighest) next_ = std::min(kHighest, *held_ * kStep);
  } else if (!held_) {
    if (*missed_ > lowest_) next_ = std::max(lowest_, *missed_ / kStep);
  } else {
    const auto low = static_cast<double>(*held_);
    const auto high = static_cast<double>(*missed_);
    const auto middle = static_cast<std::uint64_t>(std::llround(std::sqrt(low * high)));
    if (high / low > kSharp && middle > *held_ && middle < *missed_) next_ = middle;
  }
}

std::string slo_heading(const Slo& slo) {
  return fmt::format("The highest rate at which {}\n\n{:>10}  {:<7}  {} of each slice\n",
                     limit_of(slo), "rate", "held", slo.name);
}

std::string slo_line(const SloStep& step) {
  const auto holding = std::ranges::count_if(step.slices, &SloSlice::held);
  std::string line = fmt::format("{:>10}  {:<7}", rate_of(step.rate),
                                 fmt::format("{} of {}", holding, step.slices.size()));
  for (const SloSlice& slice : step.slices) {
    const std::string figure = slice.figure ? cli::format_duration(*slice.figure) : "-";
    line += fmt::format("  {}", figure);
    if (slice.invalid) line += fmt::format(" (at {})", rate_of(slice.answered));
    if (slice.disturbed) line += " (disturbed)";
  }
  return line + "\n";
}

std::string slo_conclusion(const SloReport& report) {
  const std::string limit = limit_of(report.slo);
  std::size_t slices = 0;
  std::ptrdiff_t disturbed = 0;
  for (const SloStep& step : report.steps) {
    slices += step.slices.size();
    disturbed += std::ranges::count_if(step.slices, &SloSlice::disturbed);
  }
  const std::string note =
      disturbed == 0 ? ""
                     : fmt::format("{} of {} slices were disturbed by what else runs here.\n",
                                   disturbed, slices);
  if (report.held && report.missed) {
    return fmt::format("\n{} holds up to a rate between {} and {}.\n{}", limit,
                       rate_of(*report.held), rate_of(*report.missed), note);
  }
  if (report.held)
    return fmt::format("\n{} holds at {} and more.\n{}", limit, rate_of(*report.held), note);
  if (report.missed) {
    return fmt::format("\n{} does not hold at {}, and at none that was tried.\n{}", limit,
                       rate_of(*report.missed), note);
  }
  return "\nNo rate was tried to its end.\n";
}

}  // namespace loadgen
