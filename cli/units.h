// Values as people write them on a command line (500, 10k, 64KiB, 1.5ms, 0,2-3), read strictly, and
// figures as people read them (1.50 ms, 194 k/s). A guessed unit or a silently clamped value would
// make a benchmark answer another question than the one that was asked.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

/// A value that is not allowed. The text says what is, in ASCII and without the value itself:
/// "a size from 1 to 64MiB, such as 64 or 64KiB". Who asked for the value adds its name.
struct BadValue : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What the three parsers below have in common. The whole text must be NUMBER or NUMBER UNIT with
// nothing between or around them. A NUMBER is decimal digits with at most one point, which has
// digits on both sides; there is no sign, no exponent, no hexadecimal, no digit grouping, and no
// leading zero (so that nobody wonders whether 010 is 8 or 10). A fraction is allowed where the
// result is whole: 1.5k is 1500, 0.5KiB is 512, 1.5 is refused. The result is exact or refused:
// nothing is rounded, and what does not fit 64 bits does not wrap. `min` and `max` are allowed
// themselves. Units are read exactly as listed, since with them case carries meaning.

/// A count. Units: k (10^3), M (10^6), G (10^9); K is read as k, but m, which elsewhere means
/// milli, is refused.
std::int64_t parse_count(std::string_view text, std::int64_t min, std::int64_t max);

/// Bytes. Units: KiB, MiB, GiB (powers of 1024), kB, MB, GB (powers of 1000), B or none. A bare k
/// is refused, since some mean 1000 by it and some 1024, and so is KB, for the same reason.
std::int64_t parse_bytes(std::string_view text, std::int64_t min, std::int64_t max);

/// Nanoseconds. Units: ns, us (or µs, with either of Unicode's two mu), ms, s, m (minute), h.
/// Without a unit only 0 is read.
std::int64_t parse_duration(std::string_view text, std::int64_t min, std::int64_t max);

/// The highest CPU number that parse_cpu_list() reads.
inline constexpr int kMaxCpu = 4095;

/// CPU numbers and ascending ranges of them, separated by commas, in the order written: 0,2-3 is
/// 0, 2, 3. Each may be named once.
std::vector<int> parse_cpu_list(std::string_view text);

// Figures for people: three significant digits and a unit, "1.50 ms" or "194 k". What needs no
// prefix is exact ("64 B", "150 ns"), and sizes go up to 1023 before the next unit. All in ASCII,
// so that a byte is a column; all fit aligned().

/// "64 B", "1.50 KiB", "64.0 MiB", "1.00 GiB".
std::string format_bytes(std::int64_t bytes);

/// "150 ns", "1.50 us", "15.0 ms", "30.0 s", "16.7 m", "1.00 h".
std::string format_duration(std::int64_t nanoseconds);

/// "500", "1.50 k", "194 k", "2.00 M", "1.00 G".
std::string format_count(std::int64_t count);

/// "0.50 /s", "500 /s", "194 k/s"; "-" where there is no rate, as with 0/0.
std::string format_rate(double per_second);

/// A formatted figure padded so that in a column both the digits' right ends and the units line up:
/// " 150 ns", "1.50 ms", "15.0 s ". `unit_width` is the widest unit's.
std::string aligned(std::string_view figure, int unit_width = 2);

}  // namespace cli
