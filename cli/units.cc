// One reader for every "number and unit", in whole numbers throughout: a double would accept 0.1KiB
// or lose the last digits of a large count.
#include "cli/units.h"

#include <fmt/format.h>

#include <array>
#include <bitset>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>

namespace cli {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

// Each table descends; where a factor appears twice, its first name is the one written.
constexpr Unit kCountUnits[] = {
    {"G", 1'000'000'000}, {"M", 1'000'000}, {"k", 1'000}, {"K", 1'000}, {"", 1}};
constexpr Unit kByteUnits[] = {
    {"GiB", 1 << 30}, {"GB", 1'000'000'000}, {"MiB", 1 << 20}, {"MB", 1'000'000},
    {"KiB", 1 << 10}, {"kB", 1'000},         {"", 1},          {"B", 1}};
constexpr Unit kTimeUnits[] = {{"h", 3'600'000'000'000},
                               {"m", 60'000'000'000},
                               {"s", 1'000'000'000},
                               {"ms", 1'000'000},
                               {"us", 1'000},
                               {"\u00b5s", 1'000},
                               {"\u03bcs", 1'000},
                               {"ns", 1}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t count_digits(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  return n;
}

/// `sum` = `sum` * `factor` + `term`, or false where that needs more than 64 bits.
bool multiply_add(std::int64_t& sum, std::int64_t factor, std::int64_t term) {
  return !__builtin_mul_overflow(sum, factor, &sum) && !__builtin_add_overflow(sum, term, &sum);
}

/// The whole number that `digits` say, without leading zeros.
std::optional<std::int64_t> whole_number(std::string_view digits) {
  if (digits.empty() || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : digits) {
    if (!is_digit(c) || !multiply_add(value, 10, c - '0')) return std::nullopt;
  }
  return value;
}

/// 0.`digits` times `factor`, where that is whole. From the last digit to the first, because every
/// step must then divide evenly: the result stays below `factor` however many digits there are.
std::optional<std::int64_t> whole_fraction(std::string_view digits, std::int64_t factor) {
  std::int64_t value = 0;
  for (std::size_t i = digits.size(); i-- > 0;) {
    const std::int64_t tenfold = (digits[i] - '0') * factor + value;
    if (tenfold % 10 != 0) return std::nullopt;
    value = tenfold / 10;
  }
  return value;
}

std::optional<std::int64_t> factor_of(std::string_view name, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (unit.name == name) return unit.factor;
  }
  return std::nullopt;
}

/// `text` as a number and one of `units`.
std::optional<std::int64_t> read_value(std::string_view text, std::span<const Unit> units) {
  const std::string_view whole = text.substr(0, count_digits(text));
  std::string_view unit = text.substr(whole.size());
  std::string_view fraction;
  if (unit.starts_with('.')) {
    fraction = unit.substr(1, count_digits(unit.substr(1)));
    if (fraction.empty()) return std::nullopt;
    unit.remove_prefix(1 + fraction.size());
  }
  std::optional<std::int64_t> value = whole_number(whole);
  const std::optional<std::int64_t> factor = factor_of(unit, units);
  if (!value || !factor) return std::nullopt;
  const std::optional<std::int64_t> rest = whole_fraction(fraction, *factor);
  if (!rest || !multiply_add(*value, *factor, *rest)) return std::nullopt;
  return value;
}

/// `value` in the largest unit that gives it exactly, as read_value() takes it.
std::string write_value(std::int64_t value, std::span<const Unit> units) {
  if (value == 0) return "0";
  for (const Unit& unit : units) {
    if (value % unit.factor == 0) return fmt::format("{}{}", value / unit.factor, unit.name);
  }
  return fmt::format("{}", value);
}

/// Ends a BadValue with those of two examples that are allowed, ", such as 64 or 64KiB".
std::string such_as(std::initializer_list<std::string_view> examples, std::span<const Unit> units,
                    std::int64_t min, std::int64_t max) {
  std::string text;
  for (const std::string_view example : examples) {
    const std::optional<std::int64_t> value = read_value(example, units);
    if (!value || *value < min || *value > max) continue;
    text += fmt::format("{}{}", text.empty() ? ", such as " : " or ", example);
  }
  return text;
}

struct Figure {
  double number;
  std::string_view unit;
};

/// Goes up the units while the number would need more digits than are kept. `base` is the step.
Figure scale(double number, double base, double limit, std::span<const std::string_view> units) {
  std::size_t i = 0;
  for (; i + 1 < units.size() && std::abs(number) >= limit; ++i) number /= base;
  return {number, units[i]};
}

/// Three significant digits, without an exponent.
std::string three_digits(double number) {
  const double size = std::abs(number);
  return fmt::format("{:.{}f}", number, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

}  // namespace

std::int64_t parse_count(std::string_view text, std::int64_t min, std::int64_t max) {
  const std::optional<std::int64_t> value = read_value(text, kCountUnits);
  if (value && *value >= min && *value <= max) return *value;
  throw BadValue(fmt::format("a number from {} to {}{}", write_value(min, kCountUnits),
                             write_value(max, kCountUnits),
                             such_as({"500", "10k"}, kCountUnits, min, max)));
}

std::int64_t parse_bytes(std::string_view text, std::int64_t min, std::int64_t max) {
  const std::optional<std::int64_t> value = read_value(text, kByteUnits);
  if (value && *value >= min && *value <= max) return *value;
  throw BadValue(fmt::format("a size from {} to {}{}", write_value(min, kByteUnits),
                             write_value(max, kByteUnits),
                             such_as({"64", "64KiB"}, kByteUnits, min, max)));
}

std::int64_t parse_duration(std::string_view text, std::int64_t min, std::int64_t max) {
  const std::optional<std::int64_t> value = text == "0" ? 0 : read_value(text, kTimeUnits);
  if (value && *value >= min && *value <= max) return *value;
  throw BadValue(fmt::format("a time from {} to {} in ns, us, ms, s, m or h{}",
                             write_value(min, kTimeUnits), write_value(max, kTimeUnits),
                             such_as({"30s", "1.5ms"}, kTimeUnits, min, max)));
}

std::vector<int> parse_cpu_list(std::string_view text) {
  const BadValue bad(
      fmt::format("CPU numbers from 0 to {}, each once, such as 0 or 0,2-3", kMaxCpu));
  const auto cpu = [&bad](std::string_view digits) {
    const std::optional<std::int64_t> number = whole_number(digits);
    if (!number || *number > kMaxCpu) throw bad;
    return static_cast<int>(*number);
  };
  std::vector<int> list;
  std::bitset<kMaxCpu + 1> seen;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) text.remove_prefix(comma + 1);
    const std::size_t dash = item.find('-');
    const int first = cpu(item.substr(0, dash));
    const int last = dash == std::string_view::npos ? first : cpu(item.substr(dash + 1));
    if (last < first) throw bad;
    for (int i = first; i <= last; ++i) {
      if (seen.test(static_cast<std::size_t>(i))) throw bad;
      seen.set(static_cast<std::size_t>(i));
      list.push_back(i);
    }
  }
  return list;
}

std::string format_bytes(std::int64_t bytes) {
  static constexpr std::array<std::string_view, 4> kUnits = {"B", "KiB", "MiB", "GiB"};
  if (std::abs(static_cast<double>(bytes)) < 1024) return fmt::format("{} B", bytes);
  const Figure figure = scale(static_cast<double>(bytes), 1024, 1023.5, kUnits);
  return fmt::format("{} {}", three_digits(figure.number), figure.unit);
}

std::string format_duration(std::int64_t nanoseconds) {
  static constexpr std::array<std::string_view, 4> kUnits = {"ns", "us", "ms", "s"};
  const double size = static_cast<double>(nanoseconds);
  if (std::abs(size) < 1e3) return fmt::format("{} ns", nanoseconds);
  if (std::abs(size) >= 3597e9) return fmt::format("{} h", three_digits(size / 3600e9));
  if (std::abs(size) >= 999.5e9) return fmt::format("{} m", three_digits(size / 60e9));
  const Figure figure = scale(size, 1e3, 999.5, kUnits);
  return fmt::format("{} {}", three_digits(figure.number), figure.unit);
}

std::string format_count(std::int64_t count) {
  static constexpr std::array<std::string_view, 4> kUnits = {"", "k", "M", "G"};
  const double size = static_cast<double>(count);
  if (std::abs(size) < 1e3) return fmt::format("{}", count);
  const Figure figure = scale(size, 1e3, 999.5, kUnits);
  return fmt::format("{} {}", three_digits(figure.number), figure.unit);
}

std::string format_rate(double per_second) {
  static constexpr std::array<std::string_view, 4> kUnits = {"/s", "k/s", "M/s", "G/s"};
  if (!std::isfinite(per_second)) return "-";
  const Figure figure = scale(per_second, 1e3, 999.5, kUnits);
  return fmt::format("{} {}", three_digits(figure.number), figure.unit);
}

std::string aligned(std::string_view figure, int unit_width) {
  const std::size_t space = figure.find(' ');
  const std::string_view number = figure.substr(0, space);
  const std::string_view unit =
      space == std::string_view::npos ? std::string_view() : figure.substr(space + 1);
  return fmt::format("{:>4} {:<{}}", number, unit, unit_width);
}

}  // namespace cli
