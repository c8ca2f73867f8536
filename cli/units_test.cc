// What the unit parsers accept, refuse and say, from tables and against an oracle that shares
// nothing with them: a regular expression for the grammar and long-hand decimal arithmetic.
#include "cli/units.h"

#include <gtest/gtest.h>
#include <regex.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace std::string_literals;

constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

using Parser = std::int64_t (*)(std::string_view, std::int64_t, std::int64_t);

std::optional<std::int64_t> parsed(Parser parse, std::string_view text, std::int64_t min = kMin,
                                   std::int64_t max = kMax) {
  try {
    return parse(text, min, max);
  } catch (const cli::BadValue&) {
    return std::nullopt;
  }
}

std::string refusal(Parser parse, std::string_view text, std::int64_t min, std::int64_t max) {
  try {
    return "accepted as " + std::to_string(parse(text, min, max));
  } catch (const cli::BadValue& bad) {
    return bad.what();
  }
}

struct Good {
  std::string text;
  std::int64_t value;
};

void expect_good(Parser parse, const std::vector<Good>& table) {
  for (const Good& good : table) EXPECT_EQ(parsed(parse, good.text), good.value) << good.text;
}

void expect_bad(Parser parse, const std::vector<std::string>& table) {
  for (const std::string& text : table) {
    EXPECT_EQ(parsed(parse, text), std::nullopt) << testing::PrintToString(text);
  }
}

/// The words of a table whose values have no spaces.
std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

// Refused by every parser, whatever its units.
// clang-format off
const std::vector<std::string> kNeverANumber = {
    // signs and nothing
    "", " ", "-", "--", "+", ".", "-1", "+1", "-0", "+0", "-5s", "--5", "-.5", "1-", "1-2", "1+1",
    // leading zeros, other bases, exponents, words
    "010", "00", "00.5", "01", "0x10", "0X10", "0b1", "0o7", "1e3", "1E3", "1e", "1e+3", "1.5e3",
    "1ee", "nan", "NaN", "NAN", "nan(1)", "inf", "-inf", "Infinity", "one", "x", "auto", "off",
    // what surrounds or groups
    " 1", "1 ", "1\n", "\n1", "\t1", "1\t", "1\r", "1 000", "1,000", "1'000", "1_000", "1/2", "50%",
    "$1", "1 k", "1 s", "1 B", "1 KiB", "1.5 k",
    // points, and fractions that are not whole
    "1.", ".5", "0.", "0..", "1..5", "1.5.0", "1.-5", "1.+5k", "0.1", "1.5", "1.000001",
    "0.0000000001",
    // more than 64 bits
    "9223372036854775808", "18446744073709551615", "18446744073709551616", "18446744073709551617",
    "99999999999999999999999999999999999999999999999999",
    // NUL, escapes, digits and spaces of other scripts, a cut-off mu, a byte order mark
    "1"s + '\0', "\0"s, "1\0k"s, "\0001"s, "1k\0"s, "1s\0"s, "1KiB\0"s, "1B\0"s, "\x1b[31m1", "\xff",
    "1\xc2\xa0", "\xef\xbc\x91", "\xd9\xa1", "1\xc2\xb5", "\357\273\2771",
    // units alone, doubled or in the middle
    "k", "s", "B", "KiB", "1k1", "1s1", "1B1", "1BB", "1bb", "1kk", "1ss"};
// clang-format on

TEST(ParseCount, ReadsWhatPeopleWrite) {
  expect_good(cli::parse_count, {{"0", 0},
                                 {"1", 1},
                                 {"500", 500},
                                 {"10k", 10'000},
                                 {"10K", 10'000},
                                 {"0k", 0},
                                 {"1.5k", 1'500},
                                 {"0.5k", 500},
                                 {"1.234k", 1'234},
                                 {"1.50k", 1'500},
                                 {"1.5000000000000000000000000000000000000000k", 1'500},
                                 {"2M", 2'000'000},
                                 {"0.000001M", 1},
                                 {"1.000001M", 1'000'001},
                                 {"3G", 3'000'000'000},
                                 {"1.0", 1},
                                 {"0.0", 0},
                                 {"9223372036854775807", kMax},
                                 {"9223372036.854775807G", kMax},
                                 {"9223372036854775.807k", kMax}});
}

TEST(ParseCount, RefusesWhatItWouldHaveToGuess) {
  expect_bad(cli::parse_count, kNeverANumber);
  expect_bad(
      cli::parse_count,
      {"1m", "1g", "1T", "1Ki", "1KiB", "1B", "1s", "1ms", "1.2345k", "0.0001k", "0.1234567M",
       "9223372036.854775808G", "9223372036854775.808k", "9223372037G", "10000000000G",
       "9223372036854775808k", "1.0000000000000000000000000000000000000001k", "1kB"});
}

TEST(ParseCount, KeepsTheBoundsThemselves) {
  EXPECT_EQ(parsed(cli::parse_count, "1", 1, 10'000), 1);
  EXPECT_EQ(parsed(cli::parse_count, "10k", 1, 10'000), 10'000);
  EXPECT_EQ(parsed(cli::parse_count, "0", 1, 10'000), std::nullopt);
  EXPECT_EQ(parsed(cli::parse_count, "10001", 1, 10'000), std::nullopt);
  EXPECT_EQ(parsed(cli::parse_count, "10.001k", 1, 10'000), std::nullopt);
}

TEST(ParseBytes, ReadsWhatPeopleWrite) {
  expect_good(cli::parse_bytes, {{"0", 0},
                                 {"64", 64},
                                 {"64B", 64},
                                 {"64KiB", 65'536},
                                 {"1.5KiB", 1'536},
                                 {"0.5KiB", 512},
                                 {"0.0009765625KiB", 1},
                                 {"64MiB", 67'108'864},
                                 {"1GiB", 1'073'741'824},
                                 {"1kB", 1'000},
                                 {"1.5MB", 1'500'000},
                                 {"2GB", 2'000'000'000},
                                 {"0.000000000931322574615478515625GiB", 1},
                                 {"8589934591GiB", 8'589'934'591 * (1LL << 30)}});
}

TEST(ParseBytes, RefusesWhatItWouldHaveToGuess) {
  expect_bad(cli::parse_bytes, kNeverANumber);
  expect_bad(cli::parse_bytes,
             words("4k 4K 4M 4G 4KB 4kb 4Kb 4mb 4Mb 4kib 4KIB 4Kib 4KiBs 4Ki 4b 4TiB 4s 0.1KiB "
                   "0.3KiB 1.5B 0.00048828125KiB 0.0001kB 8589934592GiB 9223372036.854775808GB "
                   "9007199254740992KiB"));
}

TEST(ParseDuration, ReadsWhatPeopleWrite) {
  expect_good(cli::parse_duration, {{"0", 0},
                                    {"0s", 0},
                                    {"200ns", 200},
                                    {"50us", 50'000},
                                    {"50\xc2\xb5s", 50'000},
                                    {"50\xce\xbcs", 50'000},
                                    {"1.5ms", 1'500'000},
                                    {"0.000001ms", 1},
                                    {"30s", 30'000'000'000},
                                    {"0.5s", 500'000'000},
                                    {"5m", 300'000'000'000},
                                    {"1.5h", 5'400'000'000'000},
                                    {"2562047h", 2'562'047 * 3'600'000'000'000},
                                    {"9223372036854775807ns", kMax},
                                    {"9223372036.854775807s", kMax}});
}

TEST(ParseDuration, RefusesWhatItWouldHaveToGuess) {
  expect_bad(cli::parse_duration, kNeverANumber);
  expect_bad(cli::parse_duration,
             words("1 30 500 0.0 1.0 1S 1MS 1Ms 1US 1NS 1M 1H 1min 1sec 1d 1k 1B 1.5ns 0.1ns "
                   "1.0001us 1h30m 1m30s 1:30 00:30 2562048h 9223372036.854775808s "
                   "9223372036854775808ns 1\xc2s 1\xc2\xb5 1\xb5s 1\xce\xbds 0.0000000000001h "
                   "PT30S"));
}

TEST(BadValue, SaysOnlyWhatIsAllowed) {
  constexpr std::int64_t kHour = 3'600'000'000'000;
  EXPECT_EQ(refusal(cli::parse_bytes, "0", 1, 64 << 20),
            "a size from 1 to 64MiB, such as 64 or 64KiB");
  EXPECT_EQ(refusal(cli::parse_bytes, "x", 1000, 1'000'000),
            "a size from 1kB to 1MB, such as 64KiB");
  EXPECT_EQ(refusal(cli::parse_count, "-1", 1, 1'000'000),
            "a number from 1 to 1M, such as 500 or 10k");
  EXPECT_EQ(refusal(cli::parse_count, "0", 1, 256), "a number from 1 to 256");
  EXPECT_EQ(refusal(cli::parse_count, "65536", 0, 65'535),
            "a number from 0 to 65535, such as 500 or 10k");
  EXPECT_EQ(refusal(cli::parse_duration, "5", 1, kHour),
            "a time from 1ns to 1h in ns, us, ms, s, m or h, such as 30s or 1.5ms");
  EXPECT_EQ(refusal(cli::parse_duration, "5", 0, 90'000'000'000),
            "a time from 0 to 90s in ns, us, ms, s, m or h, such as 30s or 1.5ms");
  EXPECT_EQ(refusal(cli::parse_duration, "30s", 1'500, 1'000'000),
            "a time from 1500ns to 1ms in ns, us, ms, s, m or h");
}

TEST(Parsers, ReadAMegabyteWithoutHarm) {
  constexpr std::size_t kMegabyte = 1 << 20;
  for (const Parser parse : {cli::parse_count, cli::parse_bytes, cli::parse_duration}) {
    EXPECT_EQ(parsed(parse, std::string(kMegabyte, '9')), std::nullopt);
    EXPECT_EQ(parsed(parse, std::string(kMegabyte, 'k')), std::nullopt);
    EXPECT_EQ(parsed(parse, "1." + std::string(kMegabyte, '9') + "s"), std::nullopt);
  }
  EXPECT_EQ(parsed(cli::parse_duration, "1." + std::string(kMegabyte, '0') + "s"), 1'000'000'000);
}

TEST(ParseCpuList, ReadsNumbersAndRangesInTheOrderWritten) {
  using List = std::vector<int>;
  EXPECT_EQ(cli::parse_cpu_list("0"), (List{0}));
  EXPECT_EQ(cli::parse_cpu_list("0,2-3"), (List{0, 2, 3}));
  EXPECT_EQ(cli::parse_cpu_list("3,1"), (List{3, 1}));
  EXPECT_EQ(cli::parse_cpu_list("2-2"), (List{2}));
  EXPECT_EQ(cli::parse_cpu_list("4095"), (List{4095}));
  EXPECT_EQ(cli::parse_cpu_list("0-4095").size(), 4096U);
}

TEST(ParseCpuList, RefusesTheRest) {
  const std::vector<std::string> bad = {
      "",      " ",     ",",     "0,",    ",0",  "0,,1", "-",    "-1",     "0-",
      "1-0",   "0--1",  "0-1-2", "00",    "01",  "0-01", "4096", "0-4096", "99999999999999999999",
      "+1",    "1.0",   "1k",    "0x1",   "a",   "0,a",  "0 ,1", "0, 1",   "0,0",
      "0-2,1", "1,0-2", "all",   "0-3:2", "0;1", "0\n",  "0\0"s, "\0"s,    "0\0,1"s};
  for (const std::string& text : bad) {
    EXPECT_THROW(cli::parse_cpu_list(text), cli::BadValue) << testing::PrintToString(text);
  }
  try {
    cli::parse_cpu_list("x");
    FAIL();
  } catch (const cli::BadValue& refused) {
    EXPECT_STREQ(refused.what(), "CPU numbers from 0 to 4095, each once, such as 0 or 0,2-3");
  }
}

// The oracle: decimal numbers as strings, least significant digit first.
namespace oracle {

std::string times(std::string digits, std::uint64_t factor) {
  std::uint64_t carry = 0;
  for (char& digit : digits) {
    carry += static_cast<std::uint64_t>(digit - '0') * factor;
    digit = static_cast<char>('0' + carry % 10);
    carry /= 10;
  }
  for (; carry > 0; carry /= 10) digits += static_cast<char>('0' + carry % 10);
  return digits;
}

// POSIX's regular expressions: libstdc++'s draw false warnings from GCC 12 under -fsanitize. The
// bounds come in by REG_STARTEND, or a match would end at an embedded NUL.
class Regex {
 public:
  explicit Regex(const std::string& pattern) {
    EXPECT_EQ(regcomp(&compiled_, ("^(" + pattern + ")$").c_str(), REG_EXTENDED), 0) << pattern;
  }
  ~Regex() { regfree(&compiled_); }
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  /// The groups of a match of the whole text; empty where there is none.
  std::vector<std::string> match(const std::string& text) const {
    std::array<regmatch_t, 6> found{};
    found[0].rm_eo = static_cast<regoff_t>(text.size());
    if (regexec(&compiled_, text.data(), found.size(), found.data(), REG_STARTEND) != 0) return {};
    std::vector<std::string> groups;
    for (std::size_t i = 2; i < found.size(); ++i) {
      const auto [begin, end] = found[i];
      groups.push_back(begin < 0 ? ""
                                 : text.substr(static_cast<std::size_t>(begin),
                                               static_cast<std::size_t>(end - begin)));
    }
    return groups;
  }

 private:
  regex_t compiled_{};
};

struct Grammar {
  Regex shape;  // number, fraction with its point, unit
  std::map<std::string, std::uint64_t> factors;
  bool bare_only_zero;
};

/// `text` as the grammar and schoolbook arithmetic have it.
std::optional<std::int64_t> value(const Grammar& grammar, const std::string& text) {
  const std::vector<std::string> match = grammar.shape.match(text);
  if (match.empty()) return std::nullopt;
  if (grammar.bare_only_zero && match[2].empty() && text != "0") return std::nullopt;
  std::string decimals = match[1];
  if (!decimals.empty()) decimals.erase(0, 1);
  std::string digits = match[0] + decimals;
  std::reverse(digits.begin(), digits.end());
  std::string product = times(digits, grammar.factors.at(match[2]));
  if (product.find_first_not_of('0') < decimals.size()) return std::nullopt;
  product.erase(0, decimals.size());
  while (product.size() > 1 && product.back() == '0') product.pop_back();
  std::reverse(product.begin(), product.end());
  if (product.empty()) return 0;
  const std::string top = std::to_string(kMax);
  if (product.size() > top.size() || (product.size() == top.size() && product > top)) {
    return std::nullopt;
  }
  return std::stoll(product);
}

const Grammar kCount = {
    Regex("(0|[1-9][0-9]*)(\\.[0-9]+)?([kKMG]?)"),
    {{"", 1}, {"k", 1'000}, {"K", 1'000}, {"M", 1'000'000}, {"G", 1'000'000'000}},
    false};
const Grammar kBytes = {Regex("(0|[1-9][0-9]*)(\\.[0-9]+)?(|B|kB|MB|GB|KiB|MiB|GiB)"),
                        {{"", 1},
                         {"B", 1},
                         {"kB", 1'000},
                         {"MB", 1'000'000},
                         {"GB", 1'000'000'000},
                         {"KiB", 1'024},
                         {"MiB", 1'048'576},
                         {"GiB", 1'073'741'824}},
                        false};
const Grammar kDuration = {
    Regex("(0|[1-9][0-9]*)(\\.[0-9]+)?(|ns|us|\xc2\xb5s|\xce\xbcs|ms|s|m|h)"),
    {{"", 1},
     {"ns", 1},
     {"us", 1'000},
     {"\xc2\xb5s", 1'000},
     {"\xce\xbcs", 1'000},
     {"ms", 1'000'000},
     {"s", 1'000'000'000},
     {"m", 60'000'000'000},
     {"h", 3'600'000'000'000}},
    true};

}  // namespace oracle

/// Texts near the grammar: a number, a unit and what goes wrong with them.
class Writer {
 public:
  explicit Writer(std::uint32_t seed) : random_(seed) {}

  std::string text() {
    std::string text;
    if (below(8) == 0) text += pick(kJunk);
    text += number();
    if (below(8) == 0) text += pick(kJunk);
    if (below(5) != 0) text += pick(kUnits);
    if (below(8) == 0) text += pick(kJunk);
    if (below(6) == 0) mutate(text);
    return text;
  }

 private:
  static inline const std::vector<std::string> kJunk = {"-",  "+",  " ",    ".",   ",",  "0",
                                                        "0x", "e3", "nan",  "inf", "\n", "\0"s,
                                                        "'",  "_",  "\x1b", "\xc2"};
  static inline const std::vector<std::string> kUnits = {
      "k",  "K",   "M",  "G",  "m",  "B",  "kB",        "MB",        "GB", "KiB", "MiB", "GiB",
      "KB", "kib", "Ki", "ns", "us", "ms", "\xc2\xb5s", "\xce\xbcs", "s",  "h",   "S",   "min"};

  std::size_t below(std::size_t n) { return random_() % n; }
  const std::string& pick(const std::vector<std::string>& list) { return list[below(list.size())]; }

  std::string digits(std::size_t most) {
    std::string text;
    for (std::size_t n = 1 + below(most); n > 0; --n) text += static_cast<char>('0' + below(10));
    return text;
  }

  std::string number() {
    std::string text = below(6) == 0 ? "0" : digits(below(4) == 0 ? 21 : 4);
    if (below(5) == 0) text = "922337203685477580" + digits(2);
    if (below(3) == 0) text += "." + digits(below(4) == 0 ? 12 : 3);
    return text;
  }

  void mutate(std::string& text) {
    if (text.empty()) return;
    const std::size_t at = below(text.size());
    if (below(3) == 0) {
      text.erase(at, 1);
    } else if (below(2) == 0) {
      text.insert(at, 1, static_cast<char>(below(256)));
    } else {
      text[at] = static_cast<char>(below(256));
    }
  }

  std::mt19937 random_;
};

void expect_agreement(Parser parse, const oracle::Grammar& grammar) {
  Writer writer(20'260'101);
  int good = 0;
  int bad = 0;
  while (bad < 10'000) {
    const std::string text = writer.text();
    const std::optional<std::int64_t> expected = oracle::value(grammar, text);
    ASSERT_EQ(parsed(parse, text), expected) << testing::PrintToString(text);
    ++(expected ? good : bad);
  }
  EXPECT_GT(good, 1'000) << "the generator must also write what is allowed";
}

TEST(Parsers, CountAgreesWithTheOracle) { expect_agreement(cli::parse_count, oracle::kCount); }
TEST(Parsers, BytesAgreeWithTheOracle) { expect_agreement(cli::parse_bytes, oracle::kBytes); }
TEST(Parsers, DurationAgreesWithTheOracle) {
  expect_agreement(cli::parse_duration, oracle::kDuration);
}

std::optional<std::vector<int>> parsed_cpus(const std::string& text) {
  try {
    return cli::parse_cpu_list(text);
  } catch (const cli::BadValue&) {
    return std::nullopt;
  }
}

namespace oracle {

const Regex kCpuList("(0|[1-9][0-9]*)(-(0|[1-9][0-9]*))?(,(0|[1-9][0-9]*)(-(0|[1-9][0-9]*))?)*");

std::optional<std::vector<int>> cpus(const std::string& text) {
  if (kCpuList.match(text).empty()) return std::nullopt;
  std::vector<int> list;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    const std::size_t dash = item.find('-');
    const double first = std::stod(item);
    const double last = dash == std::string::npos ? first : std::stod(item.substr(dash + 1));
    if (first > last || last > 4095) return std::nullopt;
    for (int cpu = static_cast<int>(first); cpu <= static_cast<int>(last); ++cpu) {
      list.push_back(cpu);
    }
  }
  if (std::set<int>(list.begin(), list.end()).size() != list.size()) return std::nullopt;
  return list;
}

}  // namespace oracle

TEST(Parsers, CpuListAgreesWithTheOracle) {
  const std::string alphabet = "01234567890123456789,,,,--- +xk\n\0"s;
  std::mt19937 random(7);
  int good = 0;
  int bad = 0;
  while (bad < 10'000) {
    std::string text;
    for (std::size_t n = random() % 12; n > 0; --n) text += alphabet[random() % alphabet.size()];
    const std::optional<std::vector<int>> expected = oracle::cpus(text);
    ASSERT_EQ(parsed_cpus(text), expected) << testing::PrintToString(text);
    ++(expected ? good : bad);
  }
  EXPECT_GT(good, 1'000) << "the generator must also write what is allowed";
}

TEST(Format, Bytes) {
  EXPECT_EQ(cli::format_bytes(0), "0 B");
  EXPECT_EQ(cli::format_bytes(64), "64 B");
  EXPECT_EQ(cli::format_bytes(1'023), "1023 B");
  EXPECT_EQ(cli::format_bytes(1'024), "1.00 KiB");
  EXPECT_EQ(cli::format_bytes(1'536), "1.50 KiB");
  EXPECT_EQ(cli::format_bytes(10'235), "10.0 KiB");
  EXPECT_EQ(cli::format_bytes(65'536), "64.0 KiB");
  EXPECT_EQ(cli::format_bytes((1 << 20) - 1), "1.00 MiB");
  EXPECT_EQ(cli::format_bytes(64 << 20), "64.0 MiB");
  EXPECT_EQ(cli::format_bytes(1 << 30), "1.00 GiB");
  EXPECT_EQ(cli::format_bytes(-1'536), "-1.50 KiB");
}

TEST(Format, Duration) {
  EXPECT_EQ(cli::format_duration(0), "0 ns");
  EXPECT_EQ(cli::format_duration(1), "1 ns");
  EXPECT_EQ(cli::format_duration(999), "999 ns");
  EXPECT_EQ(cli::format_duration(1'000), "1.00 us");
  EXPECT_EQ(cli::format_duration(9'994), "9.99 us");
  EXPECT_EQ(cli::format_duration(9'996), "10.0 us");
  EXPECT_EQ(cli::format_duration(99'960), "100 us");
  EXPECT_EQ(cli::format_duration(999'499), "999 us");
  EXPECT_EQ(cli::format_duration(999'500), "1.00 ms");
  EXPECT_EQ(cli::format_duration(1'500'000), "1.50 ms");
  EXPECT_EQ(cli::format_duration(30'000'000'000), "30.0 s");
  EXPECT_EQ(cli::format_duration(999'000'000'000), "999 s");
  EXPECT_EQ(cli::format_duration(1'000'000'000'000), "16.7 m");
  EXPECT_EQ(cli::format_duration(3'599'000'000'000), "1.00 h");
  EXPECT_EQ(cli::format_duration(5'400'000'000'000), "1.50 h");
  EXPECT_EQ(cli::format_duration(kMax), "2562048 h");
  EXPECT_EQ(cli::format_duration(-1'500), "-1.50 us");
  EXPECT_EQ(cli::format_duration(kMin), "-2562048 h");
}

TEST(Format, CountAndRate) {
  EXPECT_EQ(cli::format_count(0), "0");
  EXPECT_EQ(cli::format_count(999), "999");
  EXPECT_EQ(cli::format_count(1'000), "1.00 k");
  EXPECT_EQ(cli::format_count(194'400), "194 k");
  EXPECT_EQ(cli::format_count(999'500), "1.00 M");
  EXPECT_EQ(cli::format_count(2'000'000'000), "2.00 G");
  EXPECT_EQ(cli::format_rate(0), "0.00 /s");
  EXPECT_EQ(cli::format_rate(0.5), "0.50 /s");
  EXPECT_EQ(cli::format_rate(500), "500 /s");
  EXPECT_EQ(cli::format_rate(999.6), "1.00 k/s");
  EXPECT_EQ(cli::format_rate(194'400), "194 k/s");
  EXPECT_EQ(cli::format_rate(3.4e6), "3.40 M/s");
  EXPECT_EQ(cli::format_rate(std::nan("")), "-");
  EXPECT_EQ(cli::format_rate(std::numeric_limits<double>::infinity()), "-");
}

TEST(Format, AlignedFiguresLineUp) {
  EXPECT_EQ(cli::aligned("150 ns"), " 150 ns");
  EXPECT_EQ(cli::aligned("1.50 ms"), "1.50 ms");
  EXPECT_EQ(cli::aligned("30.0 s"), "30.0 s ");
  EXPECT_EQ(cli::aligned("500", 1), " 500  ");
  EXPECT_EQ(cli::aligned("194 k", 1), " 194 k");
  EXPECT_EQ(cli::aligned("-", 3), "   -    ");
}

// Every figure that is printed has three or four digits, and is within half a percent of the value.
TEST(Format, KeepsThreeDigitsOfAnyDuration) {
  const std::map<std::string, double> factors = {{"ns", 1},  {"us", 1e3}, {"ms", 1e6},
                                                 {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
  std::mt19937_64 random(3);
  for (int i = 0; i < 10'000; ++i) {
    const auto value = static_cast<std::int64_t>(random() >> (12 + random() % 51));
    const std::string text = cli::format_duration(value);
    const std::size_t space = text.find(' ');
    ASSERT_LE(space, 4U) << text;
    const double shown = std::stod(text) * factors.at(text.substr(space + 1));
    ASSERT_NEAR(shown, static_cast<double>(value), 0.00501 * static_cast<double>(value)) << text;
  }
}

}  // namespace
