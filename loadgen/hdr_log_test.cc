// The interval log, read back line by line: what each interval grew by, and nothing twice.
#include "loadgen/hdr_log.h"

#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "loadgen/hdr_codec.h"

namespace loadgen {
namespace {

using std::chrono::system_clock;

struct Line {
  std::string tag;
  double start = 0, length = 0, largest = 0;
  Histogram samples;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::istringstream in(text);
  std::vector<std::string> parts;
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

std::vector<Line> lines(const HdrLog& log) {
  std::vector<Line> found;
  for (const std::string& text : split(log.text(system_clock::time_point()), '\n')) {
    if (!text.starts_with("Tag=")) continue;
    const auto fields = split(text, ',');
    EXPECT_EQ(fields.size(), 5U) << text;
    found.push_back({.tag = fields[0].substr(4),
                     .start = std::stod(fields[1]),
                     .length = std::stod(fields[2]),
                     .largest = std::stod(fields[3]),
                     .samples = decode_v2_compressed_base64(fields[4])});
  }
  return found;
}

TEST(HdrLog, BeginsAsTheFormatHasIt) {
  const HdrLog log(1, net::kSecond);
  const system_clock::time_point began{std::chrono::milliseconds(1'700'000'000'250)};
  const auto text = split(log.text(began), '\n');
  ASSERT_EQ(text.size(), 5U);
  EXPECT_EQ(text[1], "#[Histogram log format version 1.3]");
  EXPECT_EQ(text[2],
            "#[StartTime: 1700000000.250 (seconds since epoch), Tue Nov 14 22:13:20 UTC 2023]");
  EXPECT_EQ(text[3], "#[BaseTime: 1700000000.250 (seconds since epoch)]");
  EXPECT_EQ(text[4],
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
            "\"Interval_Compressed_Histogram\"");
}

TEST(HdrLog, ALineHasWhatItsIntervalAdded) {
  HdrLog log(1, net::kSecond);
  Histogram latency, service;
  latency.record(5'000'000, 3);
  service.record(1000, 3);
  log.add(0, 0, net::kSecond, latency, service);
  latency.record(5'000'000, 2);
  latency.record(7'000'000);
  service.record(2000, 3);
  log.add(0, 1, 2 * net::kSecond, latency, service);

  const auto found = lines(log);
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0].tag, "latency");
  EXPECT_EQ(found[0].samples.count(), 3);
  EXPECT_EQ(found[1].tag, "service");
  EXPECT_EQ(found[1].samples.max(), 1000);
  EXPECT_EQ(found[2].samples.count(), 3);
  EXPECT_EQ(found[2].samples.count_at(Histogram::index_of(5'000'000)), 2);
  EXPECT_NEAR(found[2].largest, 7.0, 0.007) << "milliseconds";
  EXPECT_EQ(found[3].samples.min(), found[3].samples.max());
  EXPECT_DOUBLE_EQ(found[2].start, 1.0);
  EXPECT_DOUBLE_EQ(found[2].length, 1.0);
}

TEST(HdrLog, AnIntervalWithoutSamplesHasALineToo) {
  HdrLog log(1, net::kSecond);
  log.add(0, 0, net::kSecond, Histogram(), Histogram());
  const auto found = lines(log);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].samples.count(), 0);
  EXPECT_DOUBLE_EQ(found[0].largest, 0);
}

TEST(HdrLog, SumsTheWorkersAndEndsWithTheLast) {
  HdrLog log(3, net::kSecond);
  std::vector<std::thread> workers;
  for (std::size_t worker = 0; worker < 3; ++worker) {
    workers.emplace_back([&log, worker] {
      Histogram samples;
      for (std::size_t index = 0; index < 50; ++index) {
        for (int i = 0; i < 100; ++i) samples.record(static_cast<std::int64_t>(index) * 1000 + i);
        const auto end = static_cast<net::Nanos>(index + 1) * net::kSecond;
        log.add(worker, index, end + static_cast<net::Nanos>(worker), samples, samples);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  const auto found = lines(log);
  ASSERT_EQ(found.size(), 100U);
  for (const Line& line : found) EXPECT_EQ(line.samples.count(), 300) << line.start;
}

}  // namespace
}  // namespace loadgen
