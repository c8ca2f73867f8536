// --slo: a limit on a percentile of the latency, and the highest rate that holds it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/clock.h"

namespace loadgen {

struct Result;
struct Verdict;

/// "p99<2ms": so many percent of the messages take less than that, counted from when they were due.
struct Slo {
  std::string name;  // "p99"
  double quantile = 0;
  net::Nanos limit = 0;

  /// How many messages a window must have for the percentile to be a figure.
  std::uint64_t samples() const;
};

/// Throws cli::BadValue.
Slo parse_slo(std::string_view text);

/// What one slice said of a rate.
struct SloSlice {
  std::optional<net::Nanos> figure =
      std::nullopt;     // the percentile; nullopt where it is infinite or has too few
  double answered = 0;  // messages per second
  bool invalid = false;
  bool held = false;
  bool disturbed = false;  // by what is not the server's: a miss says nothing then
};

SloSlice judge_slice(const Slo& slo, const Result& result, const Verdict& verdict);

/// A rate that was tried in several slices, until two of them agreed.
struct SloStep {
  std::uint64_t rate = 0;
  std::vector<SloSlice> slices;

  /// Two slices held it, or two missed it: that decides. What was disturbed and missed does not
  /// count, twice; then it must be taken as it is.
  bool decided() const;
  bool held() const;
};

/// Where the limit lies: `held` is the highest rate that held it, `missed` the lowest above that
/// did not. Neither is sharper than the machine is steady.
struct SloReport {
  Slo slo;
  std::vector<SloStep> steps;
  std::optional<std::uint64_t> held;
  std::optional<std::uint64_t> missed;
};

/// Which rate to try next: fourfold steps until one misses, then halves of the interval, in
/// logarithms, until its ends are within 5 %.
class RateSearch {
 public:
  static constexpr std::uint64_t kHighest = 100'000'000;

  /// Below `lowest` a slice would take too long.
  RateSearch(std::uint64_t first, std::uint64_t lowest)
      : lowest_(lowest), next_(std::max(first, lowest)) {}

  /// nullopt: it is found, or there is none.
  std::optional<std::uint64_t> next() const { return next_; }
  void tell(bool held);

  std::optional<std::uint64_t> held() const { return held_; }
  std::optional<std::uint64_t> missed() const { return missed_; }

 private:
  static constexpr std::uint64_t kStep = 4;
  static constexpr double kSharp = 1.05;

  std::uint64_t lowest_;
  std::optional<std::uint64_t> next_;
  std::optional<std::uint64_t> held_;
  std::optional<std::uint64_t> missed_;
};

/// A line of the table that is printed as the search goes on, and the words that end it.
std::string slo_heading(const Slo& slo);
std::string slo_line(const SloStep& step);
std::string slo_conclusion(const SloReport& report);

}  // namespace loadgen
