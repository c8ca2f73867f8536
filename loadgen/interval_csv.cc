#include "loadgen/interval_csv.h"

#include <fmt/format.h>

#include <iterator>

namespace loadgen {
namespace {

std::string or_empty(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "";
}

double seconds(net::Nanos time) { return static_cast<double>(time) / net::kSecond; }

}  // namespace

std::string to_csv(const std::vector<Interval>& intervals) {
  std::string text = "t_s,messages,messages_per_s,p50_ns,p99_ns,max_ns\n";
  net::Nanos begin = 0;
  for (const Interval& interval : intervals) {
    const net::Nanos length = interval.end - begin;
    const double rate = length <= 0 ? 0 : static_cast<double>(interval.messages) / seconds(length);
    fmt::format_to(std::back_inserter(text), "{:.6f},{},{:.1f},{},{},{}\n", seconds(interval.end),
                   interval.messages, rate, or_empty(interval.p50), or_empty(interval.p99),
                   or_empty(interval.max));
    begin = interval.end;
  }
  return text;
}

}  // namespace loadgen
