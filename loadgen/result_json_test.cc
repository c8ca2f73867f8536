// The result as programs read it: every field that results/schema.json names, with the right value,
// and null where there is none. The end-to-end tests hold whole results against the schema.
#include "loadgen/result_json.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "cli/version.h"
#include "loadgen/hdr_codec.h"
#include "loadgen/testing_result.h"

namespace loadgen {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Result& result) { return to_json(result, judge(result), Json::object()); }

std::set<std::string> keys(const Json& object) {
  std::set<std::string> names;
  for (const auto& [key, value] : object.items()) names.insert(key);
  return names;
}

TEST(ResultJson, HasThePartsOfTheContract) {
  EXPECT_EQ(keys(json_of(good_result())),
            (std::set<std::string>{"schema_version", "tool", "started_at", "aborted", "context",
                                   "config", "totals", "throughput", "latency_ns", "service_ns",
                                   "send_lag_ns", "connect_ns", "stamp_error_ns", "histograms",
                                   "intervals", "cpu", "tcp", "slo", "verdict"}));
}

TEST(ResultJson, SaysWhatMadeItAndWhen) {
  const Json json = json_of(good_result());
  EXPECT_EQ(json["schema_version"], 1);
  EXPECT_EQ(json["tool"]["name"], "loadgen");
  EXPECT_EQ(json["tool"]["version"], cli::version());
  EXPECT_EQ(json["started_at"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(json["aborted"], false);
}

TEST(ResultJson, SaysThatASignalEndedIt) {
  Result result = good_result();
  result.signal = 2;
  EXPECT_EQ(json_of(result)["aborted"], true);
}

TEST(ResultJson, KeepsTheContextAndAddsTheEngines) {
  Result result = good_result();
  const Json context = {{"kernel", "6.18"}};
  Json json = to_json(result, judge(result), context);
  EXPECT_EQ(json["context"]["kernel"], "6.18");
  EXPECT_TRUE(json["context"].contains("liburing"));
  EXPECT_TRUE(json["context"]["io_uring_flags"].is_null());
  result.backend = net::Backend::kUring;
  result.uring_features = {"defer_taskrun", "cq=4096"};
  json = to_json(result, judge(result), context);
  EXPECT_EQ(json["context"]["io_uring_flags"], (Json{"defer_taskrun", "cq=4096"}));
}

TEST(ResultJson, RepeatsWhatWasAskedFor) {
  Result result = good_result();
  Options& options = result.options;
  options.target = net::Address::resolve("::1", 99);
  options.connections = 500;
  options.threads = 3;
  options.message_size = 4096;
  options.pipeline = 16;
  options.duration = 1500 * net::kMillisecond;
  options.warmup = 250 * net::kMillisecond;
  options.timeout = 7 * net::kSecond;
  options.interval = 2 * net::kSecond;
  options.verify = false;
  options.seed = 18'446'744'073'709'551'615U;
  options.backend = net::Backend::kUring;
  options.busy_poll = net::BusyPoll::for_duration(50 * net::kMicrosecond);
  options.cpus = {0, 2};
  result.backend = net::Backend::kUring;
  const Json expected = {{"target", "[::1]:99"},  {"connections", 500},
                         {"threads", 3},          {"duration_s", 1.5},
                         {"messages", nullptr},   {"warmup_s", 0.25},
                         {"timeout_s", 7.0},      {"interval_s", 2.0},
                         {"message_size", 4096},  {"pipeline", 16},
                         {"churn", nullptr},      {"mode", "closed"},
                         {"rate", nullptr},       {"arrivals", nullptr},
                         {"backend", "io_uring"}, {"backend_requested", "io_uring"},
                         {"busy_poll", "50us"},   {"cpu", {0, 2}},
                         {"verify", false},       {"seed", options.seed}};
  EXPECT_EQ(json_of(result)["config"], expected);
}

TEST(ResultJson, SaysNullForWhatWasNotAskedFor) {
  Result result = good_result();
  result.options.messages = 1000;
  const Json config = json_of(result)["config"];
  EXPECT_EQ(config["messages"], 1000);
  EXPECT_TRUE(config["duration_s"].is_null());
  EXPECT_TRUE(config["cpu"].is_null());
  EXPECT_EQ(config["backend"], "epoll");
  EXPECT_EQ(config["backend_requested"], "auto");
}

TEST(ResultJson, HasTheTotals) {
  Result result = good_result();
  result.tally.connections_failed = 3;
  result.tally.connections_lost = 8;
  result.tally.connections_remade = 7;
  result.tally.unanswered = 4;
  result.tally.lost_unanswered = 2;
  result.tally.spoiled = 6;
  result.tally.corrupt = 5;
  result.tally.errors = {{"flipped", 5}, {"connection_reset", 2}};
  const Json json = json_of(result);
  const Json expected = {{"messages", 100'000},
                         {"answered_in_window", 100'000},
                         {"due", nullptr},
                         {"sent", 100'001},
                         {"unsent", nullptr},
                         {"bytes_sent", 6'400'000},
                         {"bytes_received", 6'400'064},
                         {"elapsed_s", 2.0},
                         {"connections_opened", 2},
                         {"connections_failed", 3},
                         {"connections_lost", 8},
                         {"connections_remade", 7},
                         {"unanswered", 4},
                         {"lost_unanswered", 2},
                         {"spoiled", 6},
                         {"corrupt", 5},
                         {"errors", {{"connection_reset", 2}, {"flipped", 5}}}};
  EXPECT_EQ(json["totals"], expected);
  EXPECT_EQ(json_of(good_result())["totals"]["errors"], Json::object());
}

TEST(ResultJson, SumsWhatTcpDid) {
  Result result = good_result();
  result.tally.tcp.add({.retransmits = 2, .rtt = 1000, .segments_out = 10, .segments_in = 20});
  TcpSum other;
  other.add({.retransmits = 4, .rtt = 4000, .segments_out = 1, .segments_in = 2});
  other.add(net::TcpInfo{});
  result.tally.tcp.add(other);
  const Json expected = {{"connections", 3},
                         {"retransmits", 6},
                         {"segments_sent", 11},
                         {"segments_received", 22},
                         {"rtt_ns", {{"min", 1000}, {"mean", 2500.0}, {"max", 4000}}}};
  EXPECT_EQ(json_of(result)["tcp"], expected);
}

TEST(ResultJson, WhereNoConnectionWasLeftToAskTcpSaysNothing) {
  const Json null;
  const Json expected = {{"connections", 0},
                         {"retransmits", null},
                         {"segments_sent", null},
                         {"segments_received", null},
                         {"rtt_ns", {{"min", null}, {"mean", null}, {"max", null}}}};
  EXPECT_EQ(json_of(good_result())["tcp"], expected);
}

TEST(ResultJson, TellsOfReplacedConnections) {
  Result result = good_result();
  result.options.churn = 3;
  result.tally.replaced_in_window = 42'000;
  result.tally.connect = microseconds(2000);
  const Json json = json_of(result);
  EXPECT_EQ(json["config"]["churn"], 3);
  EXPECT_DOUBLE_EQ(json["throughput"]["connects_per_s"], 21'000);
  EXPECT_EQ(json["connect_ns"]["count"], 2000);
  EXPECT_EQ(json["connect_ns"]["max"], 2'000'000);
  const auto& text = json["histograms"]["connect"].get_ref<const std::string&>();
  EXPECT_EQ(decode_v2_compressed_base64(text).count(), 2000);
}

TEST(ResultJson, WhereNoneIsReplacedSaysNothingOfConnects) {
  const Json json = json_of(good_result());
  EXPECT_TRUE(json["config"]["churn"].is_null());
  EXPECT_TRUE(json["throughput"]["connects_per_s"].is_null());
  EXPECT_TRUE(json["connect_ns"].is_null());
  EXPECT_TRUE(json["histograms"]["connect"].is_null());
}

TEST(ResultJson, ThroughputIsWhatWasAnsweredInTheWindow) {
  const Json throughput = json_of(good_result())["throughput"];
  EXPECT_DOUBLE_EQ(throughput["messages_per_s"], 50'000);
  EXPECT_DOUBLE_EQ(throughput["bytes_per_s"], 3'200'000);
}

TEST(ResultJson, HasThePercentilesOfTheSamples) {
  const Json latency = json_of(good_result())["latency_ns"];
  EXPECT_EQ(latency["count"], 100'000);
  EXPECT_EQ(latency["min"], 1000);
  EXPECT_DOUBLE_EQ(latency["mean"], 50'000'500);
  const auto close_to = [&](const char* name, double ns) {
    EXPECT_NEAR(latency[name].get<double>(), ns, ns / 1000) << name;
  };
  close_to("p50", 50e6);
  close_to("p90", 90e6);
  close_to("p99", 99e6);
  close_to("p99_9", 99.9e6);
  close_to("p99_99", 99.99e6);
  EXPECT_EQ(latency["max"], 100'000'000);
}

TEST(ResultJson, InAClosedLoopServiceTimeIsLatencyAndNothingLags) {
  const Json json = json_of(good_result());
  EXPECT_EQ(json["service_ns"], json["latency_ns"]);
  EXPECT_TRUE(json["send_lag_ns"].is_null());
}

TEST(ResultJson, APercentileThatTheSampleCannotSupportIsNull) {
  Result result = good_result();
  result.tally.latency = microseconds(500);
  const Json latency = json_of(result)["latency_ns"];
  EXPECT_TRUE(latency["p90"].is_number());
  EXPECT_TRUE(latency["p99"].is_null());
  EXPECT_TRUE(latency["p99_99"].is_null());
}

TEST(ResultJson, OfNothingHasNoFigures) {
  Result result = good_result();
  result.tally = Tally();
  result.elapsed = 0;
  result.client = {};
  const Json json = json_of(result);
  EXPECT_EQ(json["latency_ns"]["count"], 0);
  for (const char* name : {"min", "mean", "p50", "p90", "p99", "p99_9", "p99_99", "max"}) {
    EXPECT_TRUE(json["latency_ns"][name].is_null()) << name;
  }
  for (const char* name : {"mean", "p99", "max"}) {
    EXPECT_TRUE(json["stamp_error_ns"][name].is_null()) << name;
  }
  EXPECT_EQ(json["throughput"]["messages_per_s"], 0.0);
  EXPECT_TRUE(json["cpu"]["client"]["ns_per_message"].is_null());
  EXPECT_EQ(json["verdict"]["status"], "invalid");
}

TEST(ResultJson, SaysHowFarTheStampsMayBeOff) {
  const Json error = json_of(good_result())["stamp_error_ns"];
  EXPECT_DOUBLE_EQ(error["mean"], 2000);
  EXPECT_TRUE(error["p99"].is_null());
  EXPECT_EQ(error["max"], 3000);
}

TEST(ResultJson, TheHistogramsCanBeReadBack) {
  const Json histograms = json_of(good_result())["histograms"];
  const Histogram read =
      decode_v2_compressed_base64(histograms["latency"].get_ref<const std::string&>());
  EXPECT_EQ(read.count(), 100'000);
  EXPECT_NEAR(static_cast<double>(read.quantile(0.5)), 50e6, 50e3);
  EXPECT_EQ(histograms["service"], histograms["latency"]);
}

TEST(ResultJson, ListsTheIntervals) {
  Result result = good_result();
  result.intervals = {
      {.end = net::kSecond, .messages = 7, .p50 = 1, .p99 = 2, .max = 3},
      {.end = 3 * net::kSecond / 2, .messages = 0, .p50 = {}, .p99 = {}, .max = {}}};
  const Json expected = {
      {{"t_s", 1.0}, {"messages", 7}, {"p50", 1}, {"p99", 2}, {"max", 3}},
      {{"t_s", 1.5}, {"messages", 0}, {"p50", nullptr}, {"p99", nullptr}, {"max", nullptr}}};
  EXPECT_EQ(json_of(result)["intervals"], expected);
  EXPECT_EQ(json_of(good_result())["intervals"], Json::array());
}

TEST(ResultJson, HasTheCpuOfBothSides) {
  Result result = good_result();
  result.tally.stalled = 3 * net::kSecond / 2;
  result.tally.longest_stall = net::kSecond;
  result.server->helpers = net::kSecond / 4;
  const Json cpu = json_of(result)["cpu"];
  EXPECT_DOUBLE_EQ(cpu["client"]["utilisation"], 0.5);
  EXPECT_DOUBLE_EQ(cpu["client"]["ns_per_message"], 10'000);
  EXPECT_DOUBLE_EQ(cpu["client"]["busy"], 0.6);
  EXPECT_DOUBLE_EQ(cpu["client"]["run_delay_s"], 0);
  EXPECT_DOUBLE_EQ(cpu["client"]["stalled_s"], 1.5);
  EXPECT_DOUBLE_EQ(cpu["client"]["longest_stall_s"], 1);
  EXPECT_DOUBLE_EQ(cpu["server"]["helper_utilisation"], 0.125);
  EXPECT_EQ(cpu["server"]["pid"], 4711);
  EXPECT_EQ(cpu["server"]["command"], "echo-server");
  EXPECT_EQ(cpu["server"]["threads"], 4);
  EXPECT_DOUBLE_EQ(cpu["server"]["utilisation"], 0.25);
  EXPECT_DOUBLE_EQ(cpu["server"]["ns_per_message"], 5000);
  EXPECT_DOUBLE_EQ(cpu["steal_fraction"], 0);
}

TEST(ResultJson, SaysNullForAServerThatIsNotHere) {
  Result result = good_result();
  result.server.reset();
  result.steal_fraction.reset();
  const Json cpu = json_of(result)["cpu"];
  EXPECT_TRUE(cpu["server"].is_null());
  EXPECT_TRUE(cpu["steal_fraction"].is_null());
}

TEST(ResultJson, CpuPerMessageIsScaledToTheWindow) {
  // Read 10 % later than the window ended: that CPU time is not these messages'.
  Result result = good_result();
  result.client = {.time = 1'100'000'000, .elapsed = 2'200'000'000};
  EXPECT_DOUBLE_EQ(json_of(result)["cpu"]["client"]["ns_per_message"], 10'000);
}

TEST(ResultJson, GivesTheVerdictWithItsReasons) {
  Result result = good_result();
  EXPECT_EQ(json_of(result)["verdict"], (Json{{"status", "valid"}, {"reasons", Json::array()}}));
  result.tally.corrupt = 2;
  const Json verdict = json_of(result)["verdict"];
  EXPECT_EQ(verdict["status"], "invalid");
  ASSERT_EQ(verdict["reasons"].size(), 1U);
  EXPECT_EQ(verdict["reasons"][0]["code"], "corrupt");
  EXPECT_EQ(verdict["reasons"][0]["message"], "wrong bytes came back 2 times");
  EXPECT_TRUE(verdict["reasons"][0]["advice"].is_string());
}

Result open_loop_result() {
  Result result = good_result();
  result.options.rate = 50'000;
  result.options.arrivals = Arrivals::kPoisson;
  result.tally.due = 100'200;
  result.tally.unsent = 150;
  result.tally.unanswered = 30;
  result.tally.spoiled = 20;
  result.tally.service = microseconds(10'000);
  result.tally.send_lag = microseconds(2000);
  return result;
}

TEST(ResultJson, AnOpenLoopHasThreeTimes) {
  const Json json = json_of(open_loop_result());
  EXPECT_EQ(json["config"]["mode"], "open");
  EXPECT_EQ(json["config"]["rate"], 50'000);
  EXPECT_EQ(json["config"]["arrivals"], "poisson");
  EXPECT_EQ(json["latency_ns"]["count"], 100'000);
  EXPECT_EQ(json["service_ns"]["count"], 10'000);
  EXPECT_EQ(json["send_lag_ns"]["count"], 2000);
  EXPECT_NE(json["histograms"]["latency"], json["histograms"]["service"]);
}

TEST(ResultJson, AnOpenLoopHasThreeRates) {
  const Json json = json_of(open_loop_result());
  EXPECT_EQ(json["totals"]["due"], 100'200);
  EXPECT_EQ(json["totals"]["unsent"], 150);
  EXPECT_DOUBLE_EQ(json["throughput"]["asked_per_s"], 50'100);
  EXPECT_DOUBLE_EQ(json["throughput"]["sent_per_s"], 50'000.5);
  EXPECT_DOUBLE_EQ(json["throughput"]["messages_per_s"], 50'000);
}

TEST(ResultJson, WhatNeverEndedIsInfinite) {
  const Json json = json_of(open_loop_result());
  EXPECT_EQ(json["latency_ns"]["infinite"], 200);
  EXPECT_EQ(json["service_ns"]["infinite"], 50) << "what was not sent has no service time";
  EXPECT_EQ(json["send_lag_ns"]["infinite"], 150) << "what was sent has a lag";
  // 200 of 100,200 are 0.2 %.
  EXPECT_TRUE(json["latency_ns"]["p99"].is_number());
  for (const char* name : {"p99_9", "p99_99", "max", "mean"}) {
    EXPECT_TRUE(json["latency_ns"][name].is_null()) << name;
  }
  EXPECT_EQ(json["latency_ns"]["min"], 1000);
}

TEST(ResultJson, WhatIsUnansweredIsInfiniteInAClosedLoopToo) {
  Result result = good_result();
  result.tally.unanswered = 2000;
  const Json latency = json_of(result)["latency_ns"];
  EXPECT_EQ(latency["infinite"], 2000);
  EXPECT_TRUE(latency["p90"].is_number());
  EXPECT_TRUE(latency["p99"].is_null());
}

TEST(ResultJson, OfOneProcessHasNoRanks) { EXPECT_FALSE(json_of(good_result()).contains("ranks")); }

TEST(ResultJson, TellsOfEachRank) {
  const Json json = json_of(total_of_ranks());
  ASSERT_EQ(json["ranks"].size(), 3U);
  const Json& first = json["ranks"][0];
  EXPECT_EQ(keys(first), (std::set<std::string>{"host", "connections", "lost", "clock_offset_ns",
                                                "clock_error_ns", "late_s", "backend", "totals",
                                                "messages_per_s", "latency_ns", "histogram",
                                                "client", "verdict"}));
  EXPECT_EQ(first["host"], "anna");
  EXPECT_EQ(first["totals"]["messages"], 100'000);
  EXPECT_EQ(first["messages_per_s"], 50'000.0);
  EXPECT_EQ(first["verdict"]["status"], "valid");
  EXPECT_EQ(decode_v2_compressed_base64(first["histogram"].get<std::string>()).count(), 100'000);
  const Json& second = json["ranks"][1];
  EXPECT_EQ(second["clock_offset_ns"], -2 * net::kSecond);
  EXPECT_EQ(second["clock_error_ns"], 15 * net::kMicrosecond);
  EXPECT_EQ(second["late_s"], 0.0);
  const Json& third = json["ranks"][2];
  EXPECT_EQ(third["lost"], true);
  EXPECT_EQ(third["connections"], 2);
  EXPECT_TRUE(third["totals"].is_null());
  EXPECT_TRUE(third["verdict"].is_null());
  EXPECT_EQ(json["totals"]["messages"], 200'000) << "a lost rank's part is in no figure";
  EXPECT_EQ(json["config"]["connections"], 6);
}

}  // namespace
}  // namespace loadgen
