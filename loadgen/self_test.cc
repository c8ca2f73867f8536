#include "loadgen/self_test.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "cli/exit_code.h"
#include "cli/units.h"
#include "cli/version.h"
#include "loadgen/faulty_server.h"
#include "loadgen/own_run.h"

namespace loadgen {
namespace {

using Json = nlohmann::json;
using net::kMillisecond;
using net::kSecond;

constexpr double kNear = 0.1;
constexpr int kAttempts = 3;

/// A run could not be made, and has said why on stderr.
struct NoRun : std::runtime_error {
  explicit NoRun(int with) : std::runtime_error("loadgen could not run"), status(with) {}
  int status;
};

std::string time(double ns) { return cli::format_duration(std::llround(ns)); }
std::string time(std::optional<double> ns, const char* none = "none") {
  return ns ? time(*ns) : none;
}

/// What one of the runs said.
class Said {
 public:
  Said(int status, const std::string& output)
      : status_(status), json_(Json::parse(output, nullptr, false)) {
    const bool ended = status == cli::kOk || status == cli::kDoesNotHold;
    if (!ended || json_.is_discarded()) throw NoRun(ended ? cli::kFailed : status);
  }

  int status() const { return status_; }
  std::optional<double> number(const char* path) const {
    const Json::json_pointer place(path);
    if (!json_.contains(place) || !json_.at(place).is_number()) return std::nullopt;
    return json_.at(place).get<double>();
  }
  std::uint64_t count(const char* path) const {
    return static_cast<std::uint64_t>(number(path).value_or(0));
  }
  std::string verdict() const { return json_.at("/verdict/status"_json_pointer); }
  bool gives_reason(std::string_view code) const {
    for (const Json& reason : json_.at("/verdict/reasons"_json_pointer)) {
      if (reason.at("code") == code) return true;
    }
    return false;
  }
  std::string errors() const {
    std::string text;
    for (const auto& [kind, count] : json_.at("/totals/errors"_json_pointer).items()) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kind, count.get<std::uint64_t>());
    }
    return text.empty() ? "none" : text;
  }

 private:
  int status_;
  Json json_;
};

bool near(std::optional<double> seen, double expected) {
  return seen && std::abs(*seen - expected) <= kNear * expected;
}

/// Of a window in which everything waited for `stall`, at a fixed rate: the waits are spread evenly
/// from 0 to `stall`, so the quantile q is what all but the longest (1 - q) of the window waited.
double quantile_of_stall(double q, net::Nanos stall, net::Nanos window) {
  return static_cast<double>(stall) - (1 - q) * static_cast<double>(window);
}

struct Finding {
  std::string expected;
  std::string seen;
  bool pass = false;
};

class SelfTest {
 public:
  SelfTest(const Options& options, std::FILE* out)
      : backend_(options.backend ? std::string(net::name_of(*options.backend)) : "auto"),
        out_(out) {}

  int operator()() {
    heading();
    try {
      for (const auto& [title, check] : kChecks) attempt(title, check);
    } catch (const NoRun& none) {
      return none.status;
    }
    print("{} of {} passed\n", passed_, kChecks.size());
    return passed_ == kChecks.size() ? cli::kOk : cli::kDoesNotHold;
  }

 private:
  using Check = Finding (SelfTest::*)();

  // At a fixed rate, a window of four seconds and half a second of warm-up before it.
  static constexpr net::Nanos kWindow = 4 * kSecond;
  static constexpr net::Nanos kStall = kSecond;
  static constexpr net::Nanos kStallAfter = 2 * kSecond;  // within the window
  static std::vector<std::string> fixed_rate() {
    return {"--rate=2000", "--connections=50", "--duration=4s", "--warmup=500ms"};
  }

  Said run(const FaultyServer& server, const std::vector<std::string>& arguments) const {
    OwnRun own(all_of(server, arguments));
    return said_by(own);
  }
  std::vector<std::string> all_of(const FaultyServer& server,
                                  const std::vector<std::string>& arguments) const {
    std::vector<std::string> all = {server.address().to_string(), "--json=-", "--quiet",
                                    "--backend=" + backend_};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }
  static Said said_by(OwnRun& own) {
    const OwnRun::End end = own.wait();
    return {end.status, end.output};
  }

  /// Coordinated omission: who waits for a server that does not answer, and sends nothing
  /// meanwhile, sees one slow message where there were two thousand.
  Finding server_stall() {
    FaultyServer server({.stall_after = kStallAfter, .stall_for = kStall});
    const Said said = run(server, fixed_rate());
    const net::Nanos stalled = server.stop().stalled;
    const double p90 = quantile_of_stall(0.90, stalled, kWindow);
    const double p99 = quantile_of_stall(0.99, stalled, kWindow);
    const auto own = said.number("/cpu/client/longest_stall_s");
    return {
        .expected = fmt::format("latency p90 {}, p99 {}, within 10 %; no such stall of loadgen's",
                                time(p90), time(p99)),
        .seen = fmt::format(
            "latency p90 {}, p99 {}; loadgen's longest stall {}; service p99 {}",
            time(said.number("/latency_ns/p90")), time(said.number("/latency_ns/p99")),
            own ? time(*own * kSecond) : "unknown", time(said.number("/service_ns/p99"))),
        .pass = near(said.number("/latency_ns/p90"), p90) &&
                near(said.number("/latency_ns/p99"), p99) && own && *own < 0.5};
  }

  Finding own_stall() {
    FaultyServer server({});
    OwnRun own(all_of(server, fixed_rate()));
    const net::Nanos patience = net::now() + 10 * kSecond;
    while (server.began() == 0 && net::now() < patience) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(std::chrono::nanoseconds(kStallAfter));
    const net::Nanos stalled = own.stop_for(kStall);
    const Said said = said_by(own);
    server.stop();
    const double p99 = quantile_of_stall(0.99, stalled, kWindow);
    const auto longest = said.number("/cpu/client/longest_stall_s");
    const bool blamed = said.gives_reason("client_stalled");
    return {.expected = fmt::format("send lag p99 {}, own stall {}, within 10 %; client_stalled",
                                    time(p99), time(static_cast<double>(stalled))),
            .seen = fmt::format("send lag p99 {}, own stall {}; {}, {}client_stalled",
                                time(said.number("/send_lag_ns/p99")),
                                longest ? time(*longest * kSecond) : "unknown", said.verdict(),
                                blamed ? "" : "not "),
            .pass = near(said.number("/send_lag_ns/p99"), p99) && longest &&
                    near(*longest * kSecond, static_cast<double>(stalled)) && blamed &&
                    said.verdict() != "valid"};
  }

  /// What never comes back has no latency; left out, it makes the figures better.
  Finding black_hole() {
    FaultyServer server({.swallow_every = 50});
    const Said said = run(server, {"--rate=1000", "--connections=100", "--duration=2s",
                                   "--warmup=0", "--timeout=1s"});
    const std::uint64_t swallowed = server.stop().swallowed;
    const std::uint64_t unanswered = said.count("/totals/unanswered");
    const auto p90 = said.number("/latency_ns/p90");
    const auto p99 = said.number("/latency_ns/p99");
    return {
        .expected = fmt::format("{} unanswered, latency p90 finite, p99 not; invalid", swallowed),
        .seen = fmt::format("{} unanswered, latency p90 {}, p99 {}; {}", unanswered, time(p90),
                            time(p99), said.verdict()),
        .pass = swallowed > 0 && unanswered == swallowed && p90 && !p99 &&
                said.gives_reason("unanswered") && said.status() == cli::kDoesNotHold};
  }

  Finding flipped_bit() {
    FaultyServer server({.flip_at = 1000});
    const Said said = run(server, {"--messages=5000", "--connections=10", "--warmup=0"});
    const std::uint64_t flipped = server.stop().flipped;
    return {.expected = fmt::format("corrupt {0}: flipped {0}; invalid", flipped),
            .seen = fmt::format("corrupt {}: {}; {}", said.count("/totals/corrupt"), said.errors(),
                                said.verdict()),
            .pass = flipped == 1 && said.count("/totals/corrupt") == 1 &&
                    said.count("/totals/errors/flipped") == 1 && said.gives_reason("corrupt") &&
                    said.status() == cli::kDoesNotHold};
  }

  /// The server notes how long it held each message, from just after it came until just before it
  /// went: what loadgen says must be more than that, and not much more.
  Finding fixed_delay() {
    FaultyServer server({.delay = kMillisecond});
    const Said said = run(server, {"--duration=2s", "--connections=4", "--warmup=200ms"});
    const auto held = static_cast<double>(server.stop().held.quantile(0.5));
    const auto p50 = said.number("/latency_ns/p50");
    const auto least = said.number("/latency_ns/min");
    return {.expected = fmt::format("latency min from 1.00 ms, p50 from {} to {}", time(held),
                                    time(1.5 * held)),
            .seen = fmt::format("latency min {}, p50 {}", time(least), time(p50)),
            .pass = least && *least >= kMillisecond && p50 && *p50 >= 0.999 * held &&
                    *p50 <= 1.5 * held};
  }

  /// A message is one sample, however many reads it takes, and it is over with its last byte.
  Finding dribble() {
    constexpr std::uint64_t kMessages = 500;
    FaultyServer server({.byte_gap = 50 * net::kMicrosecond});
    const Said said = run(server, {"--messages=500", "--connections=4", "--warmup=0"});
    const auto held = static_cast<double>(server.stop().held.quantile(0.5));
    const auto p50 = said.number("/latency_ns/p50");
    return {.expected = fmt::format("{} samples, corrupt 0, latency p50 from {}", kMessages,
                                    time(held / 2)),
            .seen = fmt::format("{} samples, corrupt {}, latency p50 {}",
                                said.count("/latency_ns/count"), said.count("/totals/corrupt"),
                                time(p50)),
            .pass = said.count("/latency_ns/count") == kMessages &&
                    said.count("/totals/corrupt") == 0 && p50 && *p50 >= held / 2 &&
                    said.status() == cli::kOk};
  }

  static constexpr std::array<std::pair<const char*, Check>, 6> kChecks = {
      {{"the server stops for 1 s, at a fixed rate", &SelfTest::server_stall},
       {"loadgen itself is stopped for 1 s, at a fixed rate", &SelfTest::own_stall},
       {"one message in 50 never comes back", &SelfTest::black_hole},
       {"one bit is flipped on the way", &SelfTest::flipped_bit},
       {"the server answers after 1 ms", &SelfTest::fixed_delay},
       {"the server answers byte by byte", &SelfTest::dribble}}};

  // ---- the report

  template <class... Values>
  void print(fmt::format_string<Values...> format, Values&&... values) {
    const std::string text = fmt::format(format, std::forward<Values>(values)...);
    if (std::fwrite(text.data(), 1, text.size(), out_) != text.size() || std::fflush(out_) != 0) {
      throw std::system_error(errno, std::generic_category(), "cannot print the findings");
    }
  }

  void heading() {
    utsname name{};
    ::uname(&name);
    print("loadgen {} ({}) tests itself, --backend={}\nLinux {} {}, {:%Y-%m-%d %H:%M UTC}\n\n",
          cli::version(), cli::git_revision(), backend_, name.release, name.machine,
          fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
  }

  /// Whatever else runs here can disturb one run; what is broken is so in every one.
  void attempt(const char* title, Check check) {
    for (int attempt = 1;; ++attempt) {
      const Finding finding = (this->*check)();
      if (!finding.pass && attempt < kAttempts) continue;
      passed_ += finding.pass ? 1 : 0;
      print("{}  {}{}\n        expected  {}\n        seen      {}\n\n",
            finding.pass ? "pass" : "FAIL", title,
            attempt > 1 ? fmt::format(" (attempt {} of {})", attempt, kAttempts) : "",
            finding.expected, finding.seen);
      return;
    }
  }

  std::string backend_;
  std::FILE* out_;
  std::size_t passed_ = 0;
};

}  // namespace

int self_test(const Options& options, std::FILE* out) { return SelfTest(options, out)(); }

}  // namespace loadgen
