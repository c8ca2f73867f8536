// What a rank found arrives whole: each figure, each sample, on whatever machine.
#include "loadgen/mpi/wire.h"

#include <gtest/gtest.h>

#include <string>

#include "loadgen/result_json.h"
#include "loadgen/testing_result.h"
#include "loadgen/verdict.h"

namespace loadgen::mpi {
namespace {

Json over_the_wire(const Json& json) { return Json::from_cbor(Json::to_cbor(json)); }

/// As the receiver knows it: the options are its own.
Result received(const Result& sent) {
  Result result;
  result.options = sent.options;
  result.started_at = sent.started_at;
  from_wire(over_the_wire(to_wire(sent)), result);
  return result;
}

std::string text_of(const Result& result) {
  return to_json(result, judge(result), nlohmann::ordered_json::object()).dump();
}

Result full_result() {
  Result result = good_result();
  result.backend = net::Backend::kUring;
  result.uring_features = {"defer_taskrun", "cq=4096"};
  result.signal = 15;
  result.only_cpu = 3;
  result.run_delay = 17;
  result.options.rate = 50'000;
  Tally& tally = result.tally;
  tally.due = 100'005;
  tally.unsent = 2;
  tally.unanswered = 3;
  tally.lost_unanswered = 1;
  tally.spoiled = 4;
  tally.corrupt = 4;
  tally.errors = {{"flipped", 4}, {"connection_reset", 1}};
  tally.service = microseconds(77);
  tally.send_lag = microseconds(5);
  tally.connect = microseconds(3);
  tally.tcp.add(net::TcpInfo{.retransmits = 2, .rtt = 12'345, .segments_out = 9, .segments_in = 8});
  tally.stalled = 5;
  tally.longest_stall = 4;
  tally.held_up = 6;
  tally.turnaround = -7;
  tally.ended = net::kNever;
  return result;
}

TEST(Wire, AResultArrivesAsItWasSent) {
  const Result sent = full_result();
  const Result got = received(sent);
  EXPECT_EQ(text_of(got), text_of(sent));
  EXPECT_EQ(got.tally.ended, sent.tally.ended);
  EXPECT_EQ(got.tally.turnaround, sent.tally.turnaround);
  EXPECT_EQ(got.tally.held_up, sent.tally.held_up);
  EXPECT_EQ(got.run_delay, sent.run_delay);
  EXPECT_EQ(got.only_cpu, sent.only_cpu);
  for (std::size_t i = 0; i < Tenths::kParts; ++i) {
    EXPECT_EQ(got.tally.tenths.parts[i].messages, sent.tally.tenths.parts[i].messages);
    EXPECT_EQ(got.tally.tenths.parts[i].latency, sent.tally.tenths.parts[i].latency);
  }
}

TEST(Wire, WhatIsNotThereIsNotThere) {
  Result sent = good_result();
  sent.server.reset();
  sent.steal_fraction.reset();
  const Result got = received(sent);
  EXPECT_FALSE(got.server);
  EXPECT_FALSE(got.steal_fraction);
  EXPECT_FALSE(got.only_cpu);
  EXPECT_EQ(got.tally.service.count(), 0);
}

TEST(Wire, AHistogramKeepsItsExactExtremesAndMean) {
  Histogram sent;
  for (const std::int64_t ns : {1'234'567, 7'654'321, 7'654'322}) sent.record(ns);
  const Histogram got = histogram_from_wire(over_the_wire(to_wire(sent)));
  EXPECT_EQ(got.min(), 1'234'567);
  EXPECT_EQ(got.max(), 7'654'322);
  EXPECT_EQ(got.mean(), sent.mean());
  EXPECT_EQ(got.count(), 3);
}

TEST(Wire, WhatIsMalformedIsRefused) {
  Result into;
  EXPECT_ANY_THROW(from_wire(Json::array({1, 2}), into));
  EXPECT_ANY_THROW(from_wire("no array", into));
  Json json = to_wire(good_result());
  json.push_back(1);
  EXPECT_ANY_THROW(from_wire(json, into));
  Json histogram = to_wire(microseconds(3));
  histogram[1] = 999'999'999;
  EXPECT_ANY_THROW(histogram_from_wire(histogram));
}

}  // namespace
}  // namespace loadgen::mpi
