#include "loadgen/summary.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  if (options.pipeline > 1) {
    text +=
        fmt::format(", {}{} outstanding on each", options.rate ? "up to " : "", options.pipeline);
  }
  return text;
}

void heading(Out out, const Result& result) {
  std::string loop = "closed loop";
  if (result.open_loop()) {
    loop =
        fmt::format("open loop, {} {}", cli::format_rate(static_cast<double>(*result.options.rate)),
                    name_of(result.options.arrivals));
  }
  fmt::format_to(out, "{}: {}, {}, loadgen on {}\n\n", result.options.target.to_string(),
                 load(result.options), loop, net::name_of(result.backend));
}

void throughput(Out out, const Result& result) {
  const double rate = result.messages_per_second();
  const double bytes = rate * static_cast<double>(result.options.message_size);
  fmt::format_to(out, "throughput  {}   {}/s each way   {} messages in {}\n",
                 cli::format_rate(rate), cli::format_bytes(std::llround(bytes)),
                 cli::format_count(static_cast<std::int64_t>(result.tally.answered_in_window)),
                 cli::format_duration(result.elapsed));
}

void rates(Out out, const Result& result) {
  if (!result.open_loop()) return;
  const auto count = [](std::uint64_t n) {
    return cli::format_count(static_cast<std::int64_t>(n));
  };
  const Tally& tally = result.tally;
  fmt::format_to(out, "rate        asked {}   sent {}   answered {}   {} due, {} never sent\n",
                 cli::format_rate(result.per_second(tally.due)),
                 cli::format_rate(result.per_second(tally.sent)),
                 cli::format_rate(result.messages_per_second()), count(tally.due),
                 count(tally.unsent));
}

std::string signed_time(net::Nanos ns) {
  return (ns < 0 ? "-" : "+") + cli::format_duration(ns < 0 ? -ns : ns);
}

std::string clock(const Rank& rank) {
  if (rank.clock_error == 0) return "-";  // the first one's own
  return fmt::format("{} +-{}", signed_time(rank.clock_offset),
                     cli::format_duration(rank.clock_error));
}

std::size_t hosts(const std::vector<Rank>& ranks) {
  std::set<std::string_view> names;
  for (const Rank& rank : ranks) names.insert(rank.host);
  return names.size();
}

std::string figure(const Distribution& all, double q) {
  if (const auto ns = all.quantile(q)) return cli::aligned(cli::format_duration(*ns));
  return all.is_infinite(q) ? "infinite" : "-";
}

std::string finite(const Distribution& all, std::int64_t ns) {
  return all.infinite > 0 ? "infinite" : cli::aligned(cli::format_duration(ns));
}

/// In an open loop all three times side by side; in a closed one they are the same.
void latency(Out out, const Result& result) {
  const Histogram& samples = result.tally.latency;
  fmt::format_to(out, "\nlatency     {} samples, one a message\n",
                 cli::format_count(samples.count()));
  if (samples.count() == 0) return;
  std::vector<Distribution> columns = {result.latency()};
  if (result.open_loop()) {
    columns.push_back(result.service());
    columns.push_back(result.send_lag());
    fmt::format_to(out, "            {:<10}{:<10}{}\n", "latency", "service", "send lag");
  }
  const auto row = [&](const char* name, auto&& figure_of) {
    std::string line = fmt::format("  {:<10}", name);
    for (const Distribution& column : columns) line += fmt::format("{:<10}", figure_of(column));
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::format_to(out, "{}{}\n", line, line.back() == '-' ? "  too few samples" : "");
  };
  const auto quantile = [&](const char* name, double q) {
    row(name, [q](const Distribution& all) { return figure(all, q); });
  };
  row("min", [](const auto& all) { return cli::aligned(cli::format_duration(all.samples.min())); });
  row("mean", [](const auto& all) { return finite(all, std::llround(all.samples.mean())); });
  quantile("p50", 0.50);
  quantile("p90", 0.90);
  quantile("p99", 0.99);
  quantile("p99.9", 0.999);
  quantile("p99.99", 0.9999);
  row("max", [](const auto& all) { return finite(all, all.samples.max()); });
}

void connects(Out out, const Result& result) {
  if (!result.options.churn) return;
  const Distribution all{result.tally.connect};
  fmt::format_to(out, "\nconnects    {}, replaced after {}\n",
                 cli::format_rate(result.per_second(result.tally.replaced_in_window)),
                 plural(*result.options.churn, "message"));
  for (const auto& [name, q] : {std::pair("p50", 0.50), {"p99", 0.99}, {"p99.9", 0.999}}) {
    fmt::format_to(out, "  {:<10}{}\n", name, figure(all, q));
  }
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

/// What each rank did by itself.
void ranks(Out out, const std::vector<Rank>& all) {
  if (all.empty()) return;
  constexpr const char* kRow = "  {:<4}{:<14}{:<13}{:<14}{:<10}{:<7}{:<21}{}\n";
  fmt::format_to(out, "\nranks       on {}\n", plural(hosts(all), "host"));
  fmt::format_to(out, kRow, "", "host", "connections", "messages/s", "p99", "CPU", "clock",
                 "verdict");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Rank& rank = all[i];
    const Result& own = rank.own;
    if (rank.lost) {
      fmt::format_to(out, kRow, i, rank.host, own.options.connections, "-", "-", "-", "-", "lost");
      continue;
    }
    const Verdict verdict = judge_part(own);
    const std::string why = verdict.reasons.empty() ? "" : ": " + verdict.reasons.front().code;
    fmt::format_to(out, kRow, i, rank.host, own.options.connections,
                   cli::format_rate(own.messages_per_second()), figure(own.latency(), 0.99),
                   fmt::format("{:.0f} %", 100 * own.client.utilisation()), clock(rank),
                   fmt::format("{}{}", name_of(verdict.status), why));
  }
}

void errors(Out out, const Tally& tally) {
  fmt::format_to(out, "errors      ");
  if (tally.errors.empty() && tally.unanswered == 0 && tally.unsent == 0) {
    fmt::format_to(out, "none\n");
    return;
  }
  const char* separator = "";
  for (const auto& [kind, count] : tally.errors) {
    fmt::format_to(out, "{}{} {}", std::exchange(separator, ", "), kind, count);
  }
  const auto never = [&](const char* what, std::uint64_t count) {
    if (count > 0) fmt::format_to(out, "{}{} {}", std::exchange(separator, ", "), what, count);
  };
  never("unanswered", tally.unanswered);
  never("unsent", tally.unsent);
  fmt::format_to(out, "\n");
}

void conclusion(Out out, const Result& result, const Verdict& verdict) {
  fmt::format_to(out, "verdict     {}{}\n", name_of(verdict.status),
                 result.signal != 0 ? ", ended early by a signal" : "");
  for (const auto& [code, message, advice] : verdict.reasons) {
    fmt::format_to(out, "            {}: {}\n              -> {}\n", code, message, advice);
  }
  if (result.open_loop()) return;
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
  rates(out, result);
  latency(out, result);
  connects(out, result);
  stamps(out, result.tally.stamp_error);
  cpu(out, result);
  ranks(out, result.ranks);
  errors(out, result.tally);
  conclusion(out, result, verdict);
  return text;
}

}  // namespace loadgen
