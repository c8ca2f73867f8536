#include "loadgen/summary.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "cli/units.h"

namespace loadgen {
namespace {

using Out = std::back_insert_iterator<std::string>;

std::string plural(std::size_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string load(const Options& options) {
  std::string text = plural(options.connections, "connection");
  if (options.threads > 1) text += fmt::format(" on {} threads", options.threads);
  text += fmt::format(", {} messages",
                      cli::format_bytes(static_cast<std::int64_t>(options.message_size)));
  if (options.pipeline > 1) text += fmt::format(", {} outstanding on each", options.pipeline);
  return text;
}

void heading(Out out, const Result& result) {
  fmt::format_to(out, "{}: {}, closed loop, loadgen on {}\n\n", result.options.target.to_string(),
                 load(result.options), net::name_of(result.backend));
}

void throughput(Out out, const Result& result) {
  const double rate = result.messages_per_second();
  const double bytes = rate * static_cast<double>(result.options.message_size);
  fmt::format_to(out, "throughput  {}   {}/s each way   {} messages in {}\n",
                 cli::format_rate(rate), cli::format_bytes(std::llround(bytes)),
                 cli::format_count(static_cast<std::int64_t>(result.tally.answered_in_window)),
                 cli::format_duration(result.elapsed));
}

void latency(Out out, const Histogram& samples) {
  fmt::format_to(out, "\nlatency     {} samples, one a message\n",
                 cli::format_count(samples.count()));
  const auto row = [&](const char* name, std::optional<std::int64_t> ns) {
    const std::string figure = ns ? cli::aligned(cli::format_duration(*ns)) : "-  too few samples";
    fmt::format_to(out, "  {:<8}  {}\n", name, figure);
  };
  if (samples.count() == 0) return;
  row("min", samples.min());
  row("mean", std::llround(samples.mean()));
  row("p50", samples.supported_quantile(0.50));
  row("p90", samples.supported_quantile(0.90));
  row("p99", samples.supported_quantile(0.99));
  row("p99.9", samples.supported_quantile(0.999));
  row("p99.99", samples.supported_quantile(0.9999));
  row("max", samples.max());
}

void stamps(Out out, const Histogram& error) {
  if (error.max() == 0) return;
  fmt::format_to(out, "  stamps are read once a batch: off by {} on average, {} at most\n",
                 cli::format_duration(std::llround(error.mean())),
                 cli::format_duration(error.max()));
}

void cpu(Out out, const Result& result) {
  const auto row = [&](const char* side, const CpuUse& use, const std::string& who) {
    const auto each = result.per_message(use);
    const std::string cost = each ? cli::format_duration(std::llround(*each)) : "-";
    fmt::format_to(out, "{:<10}  {:<6}  {} a message, {:.0f} % of a core{}\n",
                   std::string_view(side) == "client" ? "CPU" : "", side, cost,
                   100 * use.utilisation(), who);
  };
  fmt::format_to(out, "\n");
  row("client", result.client, "");
  if (result.server) {
    const ServerUse& server = *result.server;
    row("server", server.cpu,
        fmt::format(" ({}, pid {}, {})", server.command, server.pid,
                    plural(static_cast<std::size_t>(server.threads), "thread")));
  }
  if (result.steal_fraction.value_or(0) >= 0.005) {
    fmt::format_to(out, "            stolen by the hypervisor: {:.1f} %\n",
                   100 * *result.steal_fraction);
  }
}

void errors(Out out, const Tally& tally) {
  fmt::format_to(out, "errors      ");
  if (tally.errors.empty() && tally.unanswered == 0) {
    fmt::format_to(out, "none\n");
    return;
  }
  const char* separator = "";
  for (const auto& [kind, count] : tally.errors) {
    fmt::format_to(out, "{}{} {}", std::exchange(separator, ", "), kind, count);
  }
  if (tally.unanswered > 0) fmt::format_to(out, "{}unanswered {}", separator, tally.unanswered);
  fmt::format_to(out, "\n");
}

void conclusion(Out out, const Result& result, const Verdict& verdict) {
  fmt::format_to(out, "verdict     {}{}\n", name_of(verdict.status),
                 result.signal != 0 ? ", ended early by a signal" : "");
  for (const auto& [code, message] : verdict.reasons) {
    fmt::format_to(out, "            {}: {}\n", code, message);
  }
  fmt::format_to(out,
                 "            In a closed loop a stalled server is asked less often, so stalls "
                 "are under-represented.\n");
}

}  // namespace

std::string summary(const Result& result, const Verdict& verdict) {
  std::string text;
  const Out out(text);
  heading(out, result);
  throughput(out, result);
  latency(out, result.tally.latency);
  stamps(out, result.tally.stamp_error);
  cpu(out, result);
  errors(out, result.tally);
  conclusion(out, result, verdict);
  return text;
}

}  // namespace loadgen
