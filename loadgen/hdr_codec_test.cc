// The codec against the Java library's own strings, against itself, and against input that lies.
#include "loadgen/hdr_codec.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace loadgen {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Made by HdrHistogram 2.1.11 (Debian: libhdrhistogram-java) in jshell --class-path
// hdrhistogram.jar; for the other strings, with other calls of record:
//   import org.HdrHistogram.*; import java.nio.ByteBuffer;
//   var h = new Histogram(1, 3600000000000L, 3);
//   for (long i = 0; i <= 100; i++) h.recordValue(i * i * i * i * i);
//   h.recordValueWithCount(2048, 7);
//   h.recordValueWithCount(77777, 150);
//   h.recordValueWithCount(3599000000000L, 2);
//   var b = ByteBuffer.allocate(1 << 20);
//   int n = h.encodeIntoCompressedByteBuffer(b);
//   System.out.println(Base64.getEncoder().encodeToString(Arrays.copyOf(b.array(), n)));
//   for (double p : new double[] {0.1, 1, 10, 75, 90, 99, 99.9})
//     System.out.println(h.getValueAtPercentile(p));
constexpr std::string_view kFromJava =
    "HISTFAAAAQN4nD2NMUvDYBCG8z5fEqMWC4qbP0JnBzf/i4OTs0OJRRykSJHiUGoREakdJEgFkQ6hg5QgnYpIEClSHEQd"
    "REQKpol6y93z3nPcwlZ5zrK0ZGVlfruScXXx8tBaecsCWObIUMkxys+ce3zNU5jlJs8wx557RuBQneZuirpHPMmDy9Cj"
    "51CeoOjSdohdrm1ebYaJaVOw6dv4DiVDZNhNsQcjaBoGhr6hAV14h4ohTLEEJ9CBR/ANLRiID7EDNbiACAJoi0jE4kV8"
    "a3yVbeuiKVoiFLfiXjyLT1FkjCVxIGriVATiSnT+tCfREJv4yatU3BdVcZzG/25XrLHOBuG27B8X0lDB";

Histogram recorded_as_in_java() {
  Histogram histogram;
  for (std::int64_t i = 0; i <= 100; ++i) histogram.record(i * i * i * i * i);
  histogram.record(2'048, 7);
  histogram.record(77'777, 150);
  histogram.record(3'599'000'000'000, 2);
  return histogram;
}

constexpr std::string_view kEmptyFromJava =
    "HISTFAAAACF4nJNpmSzMwMDAyAABzFAayGd2M9ixgMH+A1QEAFKmBEw=";
// recordValueWithCount(77777, 1L << 52)
constexpr std::string_view kManyFromJava =
    "HISTFAAAACd4nJNpmSzMwMDAxQABzFCaEch0M9ixgMH+A0Tgb1EDBAgAAJpJCVQ=";
// recordValueWithCount(77777, Long.MAX_VALUE)
constexpr std::string_view kTooManyFromJava =
    "HISTFAAAACd4nJNpmSzMwMDAzQABzFCaEch0M9ixgMH+A0Tgb9G//1AAALtzDrs=";
// recordValue(5), recordValue(4398046511103L): beyond 1 h, but within Java's array.
constexpr std::string_view kBeyondFromJava =
    "HISTFAAAACd4nJNpmSzMwMDAxgABzFCaEch0M9ixgMH+A0SAk+ljPwsTAG6gBeI=";
// new Histogram(1, 3600000000000L, 2), recordValue(5)
constexpr std::string_view kTwoDigitsFromJava =
    "HISTFAAAACN4nJNpmSzMwMDAxAABMJqRgYHZzWDHAgb7DxABTiYAVw4EVw==";

void expect_same_buckets(const Histogram& a, const Histogram& b) {
  EXPECT_EQ(a.count(), b.count());
  for (std::size_t i = 0; i < Histogram::kCountsLength; ++i) {
    ASSERT_EQ(a.count_at(i), b.count_at(i)) << "bucket " << i;
  }
}

// --- what the Java library made

TEST(HdrCodecJava, DecodesItsHistogram) {
  const Histogram histogram = decode_v2_compressed_base64(kFromJava);
  EXPECT_EQ(histogram.count(), 260);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.max(), 3'599'182'594'047);
  const std::pair<double, std::int64_t> quantiles[] = {{0.001, 0},
                                                       {0.01, 32},
                                                       {0.1, 77'823},
                                                       {0.75, 69'402'623},
                                                       {0.9, 2'537'553'919},
                                                       {0.99, 10'007'609'343},
                                                       {0.999, 3'599'182'594'047}};
  for (const auto& [q, value] : quantiles) EXPECT_EQ(histogram.quantile(q), value) << q;
  expect_same_buckets(histogram, recorded_as_in_java());
}

TEST(HdrCodecJava, EncodesTheSameBytes) {
  // The zlib stream may differ from one zlib to another, what is in it may not.
  EXPECT_EQ(encode_v2(recorded_as_in_java()), encode_v2(decode_v2_compressed_base64(kFromJava)));
  const Bytes empty = {0x1c, 0x84, 0x93, 0x13, 0,    0,    0, 1, 0, 0, 0, 0, 0,    0,
                       0,    3,    0,    0,    0,    0,    0, 0, 0, 1, 0, 0, 0x03, 0x46,
                       0x30, 0xb8, 0xa0, 0,    0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(encode_v2(Histogram()), empty);
}

// Of the same values in Java, what encodeIntoByteBuffer puts after the header.
TEST(HdrCodecJava, EncodesTheSameNumbers) {
  const auto payload = [](const Histogram& histogram) {
    const Bytes bytes = encode_v2(histogram);
    return Bytes(bytes.begin() + 40, bytes.end());
  };
  Histogram gaps;
  gaps.record(0);
  gaps.record(2);
  gaps.record(5, 64);
  EXPECT_EQ(payload(gaps), (Bytes{0x02, 0x00, 0x02, 0x03, 0x80, 0x01}));
  Histogram largest;
  largest.record(0, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(payload(largest), (Bytes{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
}

TEST(HdrCodecJava, DecodesAnEmptyOneAndLargeCounts) {
  EXPECT_EQ(decode_v2_compressed_base64(kEmptyFromJava).count(), 0);
  const Histogram many = decode_v2_compressed_base64(kManyFromJava);
  EXPECT_EQ(many.count_at(Histogram::index_of(77'777)), std::int64_t{1} << 52);
}

TEST(HdrCodecJava, BeyondOneHourIsSaturated) {
  const Histogram histogram = decode_v2_compressed_base64(kBeyondFromJava);
  EXPECT_EQ(histogram.count(), 2);
  EXPECT_EQ(histogram.saturated(), 1);
  EXPECT_EQ(histogram.max(), Histogram::kHighest);
}

// --- there and back

std::vector<Histogram> samples() {
  std::vector<Histogram> all(7);
  all[1].record(0);
  all[2].record(Histogram::kHighest);
  all[3].record(1, std::int64_t{1} << 53);
  std::mt19937_64 random(3);
  std::lognormal_distribution latency(11.0, 1.5);
  for (int i = 0; i < 200'000; ++i) all[4].record(static_cast<std::int64_t>(latency(random)));
  for (std::size_t i = 0; i <= Histogram::index_of(Histogram::kHighest); ++i) {
    const auto count = static_cast<std::int64_t>(random() >> (24 + random() % 40));
    all[5].record(Histogram::lowest_of(i), count);
    all[6].record(Histogram::lowest_of(i), i % 2 == 0 ? 1 : 0);
  }
  return all;
}

TEST(HdrCodec, RoundTripKeepsBucketsAndQuantiles) {
  for (const Histogram& original : samples()) {
    const std::string text = encode_v2_compressed_base64(original);
    const Histogram decoded = decode_v2_compressed_base64(text);
    expect_same_buckets(decoded, original);
    expect_same_buckets(decode_v2(encode_v2(original)), original);
    EXPECT_EQ(encode_v2_compressed_base64(decoded), text);
    for (int i = 0; i <= 1'000; ++i) {
      EXPECT_EQ(std::min(decoded.quantile(i / 1e3), original.max()), original.quantile(i / 1e3));
    }
    EXPECT_NEAR(decoded.mean(), original.mean(), original.mean() / 1'000);
  }
}

// --- malformed input

// The text's layers from the inside out, so that a test can break each of them.
std::string base64(const Bytes& bytes) {
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bits;
  for (const unsigned byte : bytes) {
    for (unsigned bit = 8; bit-- > 0;) bits += (byte >> bit & 1) != 0 ? '1' : '0';
  }
  bits.append((6 - bits.size() % 6) % 6, '0');
  std::string text;
  for (std::size_t i = 0; i < bits.size(); i += 6) {
    text += alphabet[std::stoul(bits.substr(i, 6), nullptr, 2)];
  }
  return text + std::string((4 - text.size() % 4) % 4, '=');
}

void append_u32(Bytes& out, std::size_t value) {
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

Bytes zipped(const Bytes& plain) {
  uLongf size = compressBound(plain.size());
  Bytes out(size);
  EXPECT_EQ(compress(out.data(), &size, plain.data(), plain.size()), Z_OK);
  out.resize(size);
  return out;
}

std::string framed(const Bytes& compressed, std::size_t length) {
  Bytes out;
  append_u32(out, 0x1c849314);
  append_u32(out, length);
  out.insert(out.end(), compressed.begin(), compressed.end());
  return base64(out);
}

std::string framed(const Bytes& compressed) { return framed(compressed, compressed.size()); }

Bytes with_counts(const Bytes& counts) {
  Bytes out = encode_v2(Histogram());
  out.resize(40);
  for (unsigned i = 0; i < 4; ++i)
    out[4 + i] = static_cast<std::uint8_t>(counts.size() >> (24 - 8 * i));
  out.insert(out.end(), counts.begin(), counts.end());
  return out;
}

Bytes with_byte(std::size_t at, std::uint8_t value) {
  Bytes out = encode_v2(Histogram());
  out.at(at) = value;
  return out;
}

void expect_error(const std::function<void()>& decode, const std::string& part) {
  try {
    decode();
    ADD_FAILURE() << "accepted, where '" << part << "' was to be said";
  } catch (const std::runtime_error& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find(part), std::string::npos) << what;
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
  }
}

void expect_bytes_error(const Bytes& bytes, const std::string& part) {
  expect_error([&] { decode_v2(bytes); }, part);
}

void expect_text_error(std::string_view text, const std::string& part) {
  expect_error([&] { decode_v2_compressed_base64(text); }, part);
}

TEST(HdrCodecMalformed, Header) {
  expect_bytes_error({}, "ends too early");
  expect_bytes_error(with_byte(3, 0x03), "the cookie is");
  expect_bytes_error(with_byte(4, 0x80), "the payload length is");
  expect_bytes_error(with_byte(7, 0), "the payload length is");
  expect_bytes_error(with_byte(7, 2), "the payload length is");
  expect_bytes_error(with_byte(11, 1), "normalizing index offset");
  expect_bytes_error(with_byte(15, 2), "the number of significant digits is 2, not 3");
  expect_bytes_error(with_byte(23, 2), "the lowest value is 2, not 1");
  expect_bytes_error(with_byte(31, 1), "the highest value is 3600000000001");
  expect_bytes_error(with_byte(32, 0xff), "conversion ratio");
  expect_text_error(kTwoDigitsFromJava, "the number of significant digits is 2, not 3");
}

TEST(HdrCodecMalformed, Counts) {
  // ZigZag: 2n is n and 2n - 1 is -n.
  expect_bytes_error(with_counts({0x80}), "ends too early");
  expect_bytes_error(with_counts({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80}), "too early");
  const Bytes fill = {0xff, 0x8f, 0x04};  // 33,792 empty buckets: all there are
  EXPECT_EQ(decode_v2(with_counts(fill)).count(), 0);
  expect_bytes_error(with_counts({0xff, 0x8f, 0x04, 0x02}), "beyond the last bucket");
  expect_bytes_error(with_counts({0xff, 0x8f, 0x04, 0x01}), "beyond the last bucket");
  expect_bytes_error(with_counts({0x81, 0x90, 0x04}), "beyond the last bucket");  // 33,793
  expect_bytes_error(with_counts(Bytes(33'793, 0x02)), "beyond the last bucket");
  // The smallest and the largest number, whose ninth byte has eight bits.
  expect_bytes_error(with_counts(Bytes(9, 0xff)), "beyond the last bucket");
  expect_bytes_error(with_counts({0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
                     "more than 2^53 samples");
  expect_text_error(kTooManyFromJava, "more than 2^53 samples");
  // 2^53 in one bucket is the most; one more elsewhere is too many.
  const Bytes most = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20};
  EXPECT_EQ(decode_v2(with_counts(most)).count(), std::int64_t{1} << 53);
  Bytes one_more = most;
  one_more.push_back(0x02);
  expect_bytes_error(with_counts(one_more), "more than 2^53 samples");
}

TEST(HdrCodecMalformed, Zlib) {
  const Bytes plain = encode_v2(recorded_as_in_java());
  const Bytes good = zipped(plain);
  EXPECT_EQ(decode_v2_compressed_base64(framed(good)).count(), 260);
  expect_text_error(framed({}), "zlib");
  expect_text_error(framed({1, 2, 3}), "zlib");
  expect_text_error(framed(Bytes(good.begin(), good.end() - 1)), "zlib");
  expect_text_error(framed(good, good.size() - 1), "the compressed length is");
  expect_text_error(framed(good, 0xffffffff), "the compressed length is");
  Bytes longer = good;
  longer.push_back(0);
  expect_text_error(framed(longer), "after the end of the zlib stream");
  Bytes checksum = good;
  checksum.at(checksum.size() - 1) ^= 1;
  expect_text_error(framed(checksum), "zlib");
}

TEST(HdrCodecMalformed, BombsAreRefused) {
  expect_text_error(framed(zipped(Bytes(10'000'000))), "more data than");
  expect_text_error(std::string(4'000'000, 'A'), "more text than");
}

TEST(HdrCodecMalformed, Base64) {
  expect_text_error("", "ends too early");
  expect_text_error("A", "base64 of 1 char");
  expect_text_error("====", "no base64 at character 1");
  expect_text_error("A===", "no base64 at character 2");
  expect_text_error("AA=A", "no base64 at character 3");
  expect_text_error("AAA\n", "no base64 at character 4");
  expect_text_error("AAA-", "no base64 at character 4");
  expect_text_error("\xff\xff\xff\xff", "no base64 at character 1");
  expect_text_error(std::string_view("AA\0A", 4), "no base64 at character 3");
  expect_text_error("AB==", "padding");
  expect_text_error("AI==", "padding");
  expect_text_error("AAB=", "padding");
  expect_text_error("AAC=", "padding");
  expect_text_error(std::string(kManyFromJava) + "AAAA", "no base64 at character 64");
  expect_text_error(std::string(kFromJava) + "AA==", "the compressed length is");
}

// Whatever comes in, the answer is a histogram or one std::runtime_error; the sanitizers watch.
TEST(HdrCodecMalformed, DamagedInputNeverDoesMoreThanThrow) {
  const auto survives = [](auto&& decode) {
    try {
      const Histogram histogram = decode();
      EXPECT_GE(histogram.count(), 0);
      EXPECT_LE(histogram.quantile(0.5), histogram.max());
    } catch (const std::runtime_error&) {
    }
  };
  std::mt19937_64 random(99);
  const std::string text(kFromJava);
  const Bytes bytes = encode_v2(recorded_as_in_java());
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_THROW(decode_v2_compressed_base64(text.substr(0, length)), std::runtime_error);
  }
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(decode_v2({bytes.data(), length}), std::runtime_error);
  }
  for (int round = 0; round < 3'000; ++round) {
    std::string damaged_text = text;
    damaged_text[random() % text.size()] = static_cast<char>(random());
    survives([&] { return decode_v2_compressed_base64(damaged_text); });
    Bytes damaged = bytes;
    for (std::size_t i = random() % 4 + 1; i > 0; --i) {
      damaged[40 + random() % (bytes.size() - 40)] = static_cast<std::uint8_t>(random());
    }
    survives([&] { return decode_v2(damaged); });
    survives([&] { return decode_v2_compressed_base64(framed(zipped(damaged))); });
  }
}

}  // namespace
}  // namespace loadgen
