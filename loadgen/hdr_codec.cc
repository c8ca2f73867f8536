// HdrHistogram's V2 encoding, in three layers that mirror each other: counts, zlib, base64.
#include "loadgen/hdr_codec.h"

#include <zlib.h>

#include <array>
#include <bit>
#include <cstddef>
#include <new>
#include <stdexcept>

namespace loadgen {
namespace {

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

constexpr std::uint32_t kCookie = 0x1c849303 | 0x10;
constexpr std::uint32_t kCompressedCookie = 0x1c849304 | 0x10;
constexpr std::size_t kHeaderSize = 40;
constexpr std::size_t kCompressedHeaderSize = 8;
constexpr std::size_t kMaxNumberSize = 9;
constexpr std::size_t kMaxSize = kHeaderSize + kMaxNumberSize * Histogram::kCountsLength;
// zlib expands what it can't compress by some bytes in every 16 KiB; twice the size is plenty.
constexpr std::size_t kMaxTextSize = 2 * kMaxSize / 3 * 4;
constexpr std::int64_t kMaxCount = std::int64_t{1} << 53;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error("HdrHistogram V2: " + what);
}

// --- numbers

void put_big_endian(Bytes& out, std::uint64_t value, unsigned size) {
  for (unsigned i = size; i-- > 0;) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

/// Takes from the front of a view that is never read beyond its end.
class Reader {
 public:
  explicit Reader(View bytes) : rest_(bytes) {}

  std::uint64_t big_endian(std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | byte();
    return value;
  }

  std::int64_t zigzag() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 56; shift += 7) {
      const std::uint64_t next = byte();
      value |= (next & 0x7f) << shift;
      if (next < 0x80) return unzigzag(value);
    }
    return unzigzag(value | std::uint64_t{byte()} << 56);
  }

  View rest() const { return rest_; }

 private:
  static std::int64_t unzigzag(std::uint64_t value) {
    return static_cast<std::int64_t>(value >> 1 ^ (0 - (value & 1)));
  }

  std::uint8_t byte() {
    if (rest_.empty()) fail("the data ends too early");
    const std::uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }

  View rest_;
};

void put_zigzag(Bytes& out, std::int64_t value) {
  auto rest = static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
  for (std::size_t i = 1; i < kMaxNumberSize && rest >= 0x80; ++i) {
    out.push_back(static_cast<std::uint8_t>(rest | 0x80));
    rest >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(rest));
}

// --- counts

Bytes encode_counts(const Histogram& histogram) {
  Bytes out;
  std::size_t done = 0;  // buckets before this one are written
  histogram.for_each([&](const Histogram::Bucket& bucket) {
    const auto empty = static_cast<std::int64_t>(bucket.index - done);
    // A single empty bucket is written as the count 0, as the Java library does.
    if (empty > 0) put_zigzag(out, empty == 1 ? 0 : -empty);
    put_zigzag(out, bucket.count);
    done = bucket.index + 1;
  });
  if (done == 0) put_zigzag(out, 0);
  return out;
}

std::vector<std::int64_t> decode_counts(Reader reader) {
  std::vector<std::int64_t> counts;
  std::int64_t total = 0;
  while (!reader.rest().empty()) {
    const std::int64_t number = reader.zigzag();
    const std::size_t room = Histogram::kCountsLength - counts.size();
    if (number > kMaxCount - total) fail("more than 2^53 samples");
    // Negating as unsigned is defined for the smallest number too.
    const std::uint64_t buckets = number < 0 ? 0 - static_cast<std::uint64_t>(number) : 1;
    if (buckets > room) fail("counts beyond the last bucket");
    counts.resize(counts.size() + static_cast<std::size_t>(buckets));
    if (number <= 0) continue;
    counts.back() = number;
    total += number;
  }
  return counts;
}

void expect(const char* field, std::uint64_t got, std::uint64_t wanted) {
  if (got == wanted) return;
  fail(std::string(field) + " is " + std::to_string(got) + ", not " + std::to_string(wanted));
}

// --- zlib

Bytes deflated(const Bytes& plain) {
  uLongf size = compressBound(plain.size());
  Bytes out(size);
  if (compress(out.data(), &size, plain.data(), plain.size()) != Z_OK) throw std::bad_alloc();
  out.resize(size);
  return out;
}

Bytes inflated(View compressed) {
  Bytes out(kMaxSize);
  uLongf size = out.size();
  uLong used = compressed.size();
  const int status = uncompress2(out.data(), &size, compressed.data(), &used);
  if (status == Z_MEM_ERROR) throw std::bad_alloc();
  if (status == Z_BUF_ERROR) fail("more data than a histogram of this layout can have");
  if (status != Z_OK) fail("the zlib stream is damaged");
  if (used != compressed.size()) fail("data after the end of the zlib stream");
  out.resize(size);
  return out;
}

// --- base64

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr auto kDigitOf = [] {
  std::array<std::int8_t, 256> digit_of{};
  digit_of.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    digit_of[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return digit_of;
}();

std::string to_base64(View bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = i; k < i + 3; ++k) group = group << 8 | (k < bytes.size() ? bytes[k] : 0u);
    for (int shift = 18; shift >= 0; shift -= 6) out.push_back(kAlphabet[group >> shift & 63]);
  }
  const std::size_t padding = (3 - bytes.size() % 3) % 3;
  out.replace(out.size() - padding, padding, padding, '=');
  return out;
}

Bytes from_base64(std::string_view text) {
  if (text.size() % 4 != 0) fail("base64 of " + std::to_string(text.size()) + " characters");
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size() - padding; ++i) {
    const std::int8_t digit = kDigitOf[static_cast<unsigned char>(text[i])];
    if (digit < 0) fail("no base64 at character " + std::to_string(i + 1));
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    // Of each four digits the last three complete a byte and leave 4, 2 and 0 bits over.
    if (i % 4 != 0) out.push_back(static_cast<std::uint8_t>(bits >> (6 - 2 * (i % 4))));
  }
  const std::uint32_t left_over = padding == 2 ? 15 : padding == 1 ? 3 : 0;
  if ((bits & left_over) != 0) fail("base64 with bits set in its padding");
  return out;
}

}  // namespace

Bytes encode_v2(const Histogram& histogram) {
  const Bytes counts = encode_counts(histogram);
  Bytes out;
  out.reserve(kHeaderSize + counts.size());
  put_big_endian(out, kCookie, 4);
  put_big_endian(out, counts.size(), 4);
  put_big_endian(out, 0, 4);
  put_big_endian(out, Histogram::kSignificantDigits, 4);
  put_big_endian(out, 1, 8);
  put_big_endian(out, Histogram::kHighest, 8);
  put_big_endian(out, std::bit_cast<std::uint64_t>(1.0), 8);
  out.insert(out.end(), counts.begin(), counts.end());
  return out;
}

Histogram decode_v2(View bytes) {
  Reader reader(bytes);
  expect("the cookie", reader.big_endian(4), kCookie);
  const std::uint64_t payload = reader.big_endian(4);
  expect("the normalizing index offset", reader.big_endian(4), 0);
  expect("the number of significant digits", reader.big_endian(4), Histogram::kSignificantDigits);
  expect("the lowest value", reader.big_endian(8), 1);
  expect("the highest value", reader.big_endian(8), Histogram::kHighest);
  if (std::bit_cast<double>(reader.big_endian(8)) != 1.0) fail("the conversion ratio is not 1");
  expect("the payload length", payload, reader.rest().size());
  return Histogram::from_counts(decode_counts(reader));
}

std::string encode_v2_compressed_base64(const Histogram& histogram) {
  const Bytes compressed = deflated(encode_v2(histogram));
  Bytes out;
  out.reserve(kCompressedHeaderSize + compressed.size());
  put_big_endian(out, kCompressedCookie, 4);
  put_big_endian(out, compressed.size(), 4);
  out.insert(out.end(), compressed.begin(), compressed.end());
  return to_base64(out);
}

Histogram decode_v2_compressed_base64(std::string_view text) {
  if (text.size() > kMaxTextSize) fail("more text than a histogram of this layout can have");
  const Bytes bytes = from_base64(text);
  Reader reader(bytes);
  expect("the cookie", reader.big_endian(4), kCompressedCookie);
  const std::uint64_t length = reader.big_endian(4);
  expect("the compressed length", length, reader.rest().size());
  return decode_v2(inflated(reader.rest()));
}

}  // namespace loadgen
