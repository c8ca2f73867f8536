#include "loadgen/hdr_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "cli/version.h"
#include "loadgen/hdr_codec.h"

namespace loadgen {
namespace {

using std::chrono::system_clock;

double seconds(net::Nanos time) { return static_cast<double>(time) / net::kSecond; }

double milliseconds(std::int64_t ns) { return static_cast<double>(ns) / net::kMillisecond; }

// Lines with a "#" are comments to a reader, but for [StartTime: and [BaseTime:, which it looks
// for. The base is what the timestamps below count from.
std::string header(system_clock::time_point began) {
  const double at = std::chrono::duration<double>(began.time_since_epoch()).count();
  const std::time_t second = system_clock::to_time_t(began);
  return fmt::format(
      "#[Logged by loadgen {}, values in ns]\n"
      "#[Histogram log format version 1.3]\n"
      "#[StartTime: {:.3f} (seconds since epoch), {:%a %b %d %H:%M:%S UTC %Y}]\n"
      "#[BaseTime: {:.3f} (seconds since epoch)]\n"
      "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
      cli::version(), at, fmt::gmtime(second), at);
}

void line(std::string& text, std::string_view tag, net::Nanos begin, net::Nanos end,
          const std::vector<std::pair<std::size_t, std::int64_t>>& growth) {
  std::vector<std::int64_t> counts(Histogram::kCountsLength);
  for (const auto& [bucket, count] : growth) counts[bucket] += count;
  const Histogram samples = Histogram::from_counts(counts);
  fmt::format_to(std::back_inserter(text), "Tag={},{:.3f},{:.3f},{:.3f},{}\n", tag, seconds(begin),
                 seconds(end - begin), milliseconds(samples.max()),
                 encode_v2_compressed_base64(samples));
}

}  // namespace

HdrLog::HdrLog(std::size_t workers, net::Nanos interval) : interval_(interval), seen_(workers) {
  for (Seen& seen : seen_) {
    seen.latency.resize(Histogram::kCountsLength);
    seen.service.resize(Histogram::kCountsLength);
  }
}

HdrLog::Growth HdrLog::growth(const Histogram& samples, std::vector<std::int64_t>& seen) {
  Growth growth;
  samples.for_each([&](const Histogram::Bucket& bucket) {
    const std::int64_t before = std::exchange(seen[bucket.index], bucket.count);
    if (bucket.count != before) growth.emplace_back(bucket.index, bucket.count - before);
  });
  return growth;
}

void HdrLog::add(std::size_t worker, std::size_t index, net::Nanos end, const Histogram& latency,
                 const Histogram& service) {
  const Growth in_latency = growth(latency, seen_[worker].latency);
  const Growth in_service = growth(service, seen_[worker].service);
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[index];
  entry.end = std::max(entry.end, end);
  entry.latency.insert(entry.latency.end(), in_latency.begin(), in_latency.end());
  entry.service.insert(entry.service.end(), in_service.begin(), in_service.end());
}

std::string HdrLog::text(system_clock::time_point began) const {
  std::string text = header(began);
  for (const auto& [index, entry] : entries_) {
    const net::Nanos begin = static_cast<net::Nanos>(index) * interval_;
    line(text, "latency", begin, entry.end, entry.latency);
    line(text, "service", begin, entry.end, entry.service);
  }
  return text;
}

}  // namespace loadgen
