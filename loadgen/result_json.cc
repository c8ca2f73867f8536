#include "loadgen/result_json.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "cli/version.h"
#include "loadgen/hdr_codec.h"

namespace loadgen {
namespace {

using Json = nlohmann::ordered_json;

double seconds(net::Nanos time) { return static_cast<double>(time) / net::kSecond; }

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json distribution(const Distribution& all) {
  const bool any = all.samples.count() > 0;
  const bool finite = any && all.infinite == 0;
  return {{"count", all.samples.count()},
          {"infinite", all.infinite},
          {"min", any ? Json(all.samples.min()) : Json()},
          {"mean", finite ? Json(all.samples.mean()) : Json()},
          {"p50", or_null(all.quantile(0.50))},
          {"p90", or_null(all.quantile(0.90))},
          {"p99", or_null(all.quantile(0.99))},
          {"p99_9", or_null(all.quantile(0.999))},
          {"p99_99", or_null(all.quantile(0.9999))},
          {"max", finite ? Json(all.samples.max()) : Json()}};
}

Json stamp_error(const Histogram& error) {
  const bool any = error.count() > 0;
  return {{"mean", any ? Json(error.mean()) : Json()},
          {"p99", or_null(error.supported_quantile(0.99))},
          {"max", any ? Json(error.max()) : Json()}};
}

Json tool() {
  const std::string_view revision = cli::git_revision();
  const bool known = revision != "unknown";
  return {{"name", "loadgen"},
          {"version", cli::version()},
          {"git", known ? Json(revision) : Json()},
          {"git_clean", known ? Json(!revision.ends_with("-dirty")) : Json()}};
}

Json config(const Result& result) {
  const Options& options = result.options;
  const bool counted = options.messages.has_value();
  return {{"target", options.target.to_string()},
          {"connections", options.connections},
          {"threads", options.threads},
          {"duration_s", counted ? Json() : Json(seconds(options.duration))},
          {"messages", or_null(options.messages)},
          {"warmup_s", seconds(options.warmup)},
          {"timeout_s", seconds(options.timeout)},
          {"interval_s", seconds(options.interval)},
          {"message_size", options.message_size},
          {"pipeline", options.pipeline},
          {"churn", or_null(options.churn)},
          {"mode", result.open_loop() ? "open" : "closed"},
          {"rate", or_null(options.rate)},
          {"arrivals", result.open_loop() ? Json(name_of(options.arrivals)) : Json()},
          {"backend", net::name_of(result.backend)},
          {"backend_requested", options.backend ? net::name_of(*options.backend) : "auto"},
          {"busy_poll", options.busy_poll.to_string()},
          {"cpu", options.cpus.empty() ? Json() : Json(options.cpus)},
          {"verify", options.verify},
          {"seed", options.seed}};
}

Json totals(const Result& result) {
  const Tally& tally = result.tally;
  Json errors = Json::object();
  for (const auto& [kind, count] : tally.errors) errors[kind] = count;
  return {{"messages", tally.latency.count()},
          {"answered_in_window", tally.answered_in_window},
          {"due", result.open_loop() ? Json(tally.due) : Json()},
          {"sent", tally.sent},
          {"unsent", result.open_loop() ? Json(tally.unsent) : Json()},
          {"bytes_sent", tally.bytes_sent},
          {"bytes_received", tally.bytes_received},
          {"elapsed_s", seconds(result.elapsed)},
          {"connections_opened", tally.connections_opened},
          {"connections_failed", tally.connections_failed},
          {"connections_lost", tally.connections_lost},
          {"connections_remade", tally.connections_remade},
          {"unanswered", tally.unanswered},
          {"lost_unanswered", tally.lost_unanswered},
          {"spoiled", tally.spoiled},
          {"corrupt", tally.corrupt},
          {"errors", std::move(errors)}};
}

Json intervals(const std::vector<Interval>& all) {
  Json list = Json::array();
  for (const Interval& interval : all) {
    list.push_back({{"t_s", seconds(interval.end)},
                    {"messages", interval.messages},
                    {"p50", or_null(interval.p50)},
                    {"p99", or_null(interval.p99)},
                    {"max", or_null(interval.max)}});
  }
  return list;
}

Json client(const Result& result) {
  return {{"utilisation", result.client.utilisation()},
          {"busy", result.tally.busy},
          {"run_delay_s", seconds(result.run_delay)},
          {"stalled_s", seconds(result.tally.stalled)},
          {"longest_stall_s", seconds(result.tally.longest_stall)},
          {"ns_per_message", or_null(result.per_message(result.client))}};
}

Json cpu(const Result& result) {
  Json server;
  if (result.server) {
    server = {{"pid", result.server->pid},
              {"command", result.server->command},
              {"threads", result.server->threads},
              {"utilisation", result.server->cpu.utilisation()},
              {"helper_utilisation",
               CpuUse{result.server->helpers, result.server->cpu.elapsed}.utilisation()},
              {"ns_per_message", or_null(result.per_message(result.server->cpu))}};
  }
  return {{"client", client(result)},
          {"server", std::move(server)},
          {"steal_fraction", or_null(result.steal_fraction)}};
}

Json tcp(const TcpSum& sum) {
  const auto known = [](std::uint64_t of, auto value) { return of > 0 ? Json(value) : Json(); };
  const double mean = static_cast<double>(sum.rtt_sum) /
                      static_cast<double>(std::max<std::uint64_t>(1, sum.with_rtt));
  return {{"connections", sum.connections},
          {"retransmits", known(sum.connections, sum.retransmits)},
          {"segments_sent", known(sum.with_segments, sum.segments_out)},
          {"segments_received", known(sum.with_segments, sum.segments_in)},
          {"rtt_ns",
           {{"min", known(sum.with_rtt, sum.rtt_min)},
            {"mean", known(sum.with_rtt, mean)},
            {"max", known(sum.with_rtt, sum.rtt_max)}}}};
}

Json slo(const std::optional<SloReport>& report) {
  if (!report) return {};
  Json steps = Json::array();
  for (const SloStep& step : report->steps) {
    Json slices = Json::array();
    for (const SloSlice& slice : step.slices) {
      slices.push_back({{"latency_ns", or_null(slice.figure)},
                        {"messages_per_s", slice.answered},
                        {"held", slice.held},
                        {"disturbed", slice.disturbed}});
    }
    steps.push_back({{"rate", step.rate}, {"held", step.held()}, {"slices", std::move(slices)}});
  }
  return {{"percentile", report->slo.name},
          {"limit_ns", report->slo.limit},
          {"rate_held", or_null(report->held)},
          {"rate_missed", or_null(report->missed)},
          {"steps", std::move(steps)}};
}

Json verdict_json(const Verdict& verdict) {
  Json reasons = Json::array();
  for (const auto& [code, message, advice] : verdict.reasons) {
    reasons.push_back({{"code", code}, {"message", message}, {"advice", advice}});
  }
  return {{"status", name_of(verdict.status)}, {"reasons", std::move(reasons)}};
}

Json rank_json(const Rank& rank) {
  Json json = {{"host", rank.host},
               {"connections", rank.own.options.connections},
               {"lost", rank.lost},
               {"clock_offset_ns", rank.clock_offset},
               {"clock_error_ns", rank.clock_error},
               {"late_s", seconds(rank.late)}};
  const bool known = !rank.lost;
  const Result& own = rank.own;
  json["backend"] = known ? Json(net::name_of(own.backend)) : Json();
  json["totals"] = known ? totals(own) : Json();
  json["messages_per_s"] = known ? Json(own.messages_per_second()) : Json();
  json["latency_ns"] = known ? distribution(own.latency()) : Json();
  json["histogram"] = known ? Json(encode_v2_compressed_base64(own.latency().samples)) : Json();
  json["client"] = known ? client(own) : Json();
  json["verdict"] = known ? verdict_json(judge_part(own)) : Json();
  return json;
}

}  // namespace

Json to_json(const Result& result, const Verdict& verdict, Json context) {
  const std::string_view liburing = net::liburing_version();
  context["liburing"] = liburing.empty() ? Json() : Json(liburing);
  context["io_uring_flags"] =
      result.backend == net::Backend::kUring ? Json(result.uring_features) : Json();
  const double rate = result.messages_per_second();
  const bool churn = result.options.churn.has_value();
  Json json = {
      {"schema_version", 1},
      {"tool", tool()},
      {"started_at",
       fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                   fmt::gmtime(std::chrono::system_clock::to_time_t(result.started_at)))},
      {"aborted", result.signal != 0},
      {"context", std::move(context)},
      {"config", config(result)},
      {"totals", totals(result)},
      {"throughput",
       {{"messages_per_s", rate},
        {"bytes_per_s", rate * static_cast<double>(result.options.message_size)},
        {"asked_per_s", result.open_loop() ? Json(result.per_second(result.tally.due)) : Json()},
        {"sent_per_s", result.per_second(result.tally.sent)},
        {"connects_per_s",
         churn ? Json(result.per_second(result.tally.replaced_in_window)) : Json()}}},
      {"latency_ns", distribution(result.latency())},
      {"service_ns", distribution(result.service())},
      {"send_lag_ns", result.open_loop() ? distribution(result.send_lag()) : Json()},
      {"connect_ns", churn ? distribution({result.tally.connect}) : Json()},
      {"stamp_error_ns", stamp_error(result.tally.stamp_error)},
      {"histograms",
       {{"latency", encode_v2_compressed_base64(result.latency().samples)},
        {"service", encode_v2_compressed_base64(result.service().samples)},
        {"connect", churn ? Json(encode_v2_compressed_base64(result.tally.connect)) : Json()}}},
      {"intervals", intervals(result.intervals)},
      {"cpu", cpu(result)},
      {"tcp", tcp(result.tally.tcp)},
      {"slo", slo(result.slo)},
      {"verdict", verdict_json(verdict)}};
  for (const Rank& rank : result.ranks) json["ranks"].push_back(rank_json(rank));
  return json;
}

}  // namespace loadgen
