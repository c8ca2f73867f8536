#include "loadgen/live_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "cli/units.h"

namespace loadgen {
namespace {

constexpr std::size_t kLongestBar = 24;
constexpr std::size_t kShortestBar = 4;

std::string bar(double done, std::size_t width) {
  const auto full = static_cast<std::size_t>(done * static_cast<double>(width));
  return "  [" + std::string(full, '#') + std::string(width - full, '.') + "]";
}

double seconds(net::Nanos time) { return static_cast<double>(time) / net::kSecond; }

std::string progress(const LiveLine::State& state) {
  if (state.total == 0) return fmt::format("{:.1f}s", seconds(state.elapsed));
  const net::Nanos elapsed = std::min(state.elapsed, state.total);
  return fmt::format("{:.1f}s of {:.1f}s", seconds(elapsed), seconds(state.total));
}

std::string figures(const Interval& last, net::Nanos interval) {
  const auto time = [](const std::optional<std::int64_t>& ns) {
    return ns ? cli::format_duration(*ns) : std::string("-");
  };
  const double rate = static_cast<double>(last.messages) / seconds(interval);
  return fmt::format("{}  p50 {}  p99 {}", cli::format_rate(rate), time(last.p50), time(last.p99));
}

std::size_t terminal_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

std::string live_text(const LiveLine::State& state, net::Nanos interval, std::size_t width) {
  const std::size_t columns = width > 1 ? width - 1 : 0;  // the last one would wrap
  std::string before = state.phase.empty() ? "" : std::string(state.phase) + "  ";
  before += progress(state);
  std::string after;
  if (state.interval) after += "  " + figures(*state.interval, interval);
  after += fmt::format("  errors {}", state.errors);

  const std::size_t taken = before.size() + after.size() + std::string_view("  []").size();
  if (state.total == 0 || taken + kShortestBar > columns)
    return (before + after).substr(0, columns);
  const double done = std::min(1.0, seconds(state.elapsed) / seconds(state.total));
  return before + bar(done, std::min(kLongestBar, columns - taken)) + after;
}

LiveLine::LiveLine(bool quiet, net::Nanos interval)
    : on_(!quiet && ::isatty(STDERR_FILENO) == 1), interval_(interval) {
  const char* no_colour = std::getenv("NO_COLOR");
  colour_ = no_colour == nullptr || *no_colour == '\0';
}

LiveLine::~LiveLine() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
}

void LiveLine::show(const State& state) {
  if (!on_) return;
  std::string text = live_text(state, interval_, terminal_width());
  if (colour_ && state.errors > 0) text = "\x1b[31m" + text + "\x1b[0m";
  std::fprintf(stderr, "\r%s\x1b[K", text.c_str());
  std::fflush(stderr);
  shown_ = true;
}

}  // namespace loadgen
