#include "loadgen/slo_run.h"

#include <algorithm>
#include <utility>

#include "loadgen/run.h"
#include "loadgen/slo.h"
#include "loadgen/verdict.h"

namespace loadgen {
namespace {

/// Long enough for the percentile; and what does not come back within several times the limit is
/// not waited for, for it has missed it.
Options slice_at(const Options& options, const Slo& slo, std::uint64_t rate) {
  Options slice = options;
  slice.rate = rate;
  const auto enough = static_cast<net::Nanos>(static_cast<double>(slo.samples()) * net::kSecond /
                                              static_cast<double>(rate));
  slice.duration = std::max(options.duration, enough);
  slice.timeout = std::min(options.timeout, std::max(net::kSecond, 10 * slo.limit));
  return slice;
}

/// Where a slice would have to be five times as long as asked for.
std::uint64_t lowest_rate(const Options& options, const Slo& slo) {
  const double longest = 5 * static_cast<double>(options.duration) / net::kSecond;
  return std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(static_cast<double>(slo.samples()) / longest));
}

}  // namespace

Result find_highest_rate(const Options& options, net::Signals& signals,
                         const std::function<void(const std::string&)>& say) {
  constexpr std::uint64_t kFirst = 1000;
  const Slo slo = *options.slo;
  SloReport report{.slo = slo, .steps = {}, .held = {}, .missed = {}};
  RateSearch search(options.rate.value_or(kFirst), lowest_rate(options, slo));
  std::optional<Result> best;
  Result last;
  std::string heading = slo_heading(slo);  // goes with the first line: there may be none
  while (const auto rate = search.next()) {
    SloStep step{.rate = *rate, .slices = {}};
    std::optional<Result> holding;
    while (!step.decided() && last.signal == 0) {
      last = run(slice_at(options, slo, *rate), signals);
      if (last.signal != 0) break;
      step.slices.push_back(judge_slice(slo, last, judge(last)));
      if (step.slices.back().held) holding = last;
    }
    if (!step.slices.empty()) {
      say(std::exchange(heading, "") + slo_line(step));
      report.steps.push_back(step);
    }
    if (last.signal != 0) break;
    if (step.held()) best = std::move(holding);
    search.tell(step.held());
  }
  report.held = search.held();
  report.missed = search.missed();
  say(std::exchange(heading, "") + slo_conclusion(report) + "\n");
  Result result = best ? std::move(*best) : last;
  result.signal = last.signal;
  result.slo = std::move(report);
  return result;
}

}  // namespace loadgen
