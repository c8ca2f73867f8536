// The histogram as others read it: HdrHistogram's V2 encoding, the text in the `histograms` of a
// result and in the lines of an .hlog file. Its source is the Java library (AbstractHistogram,
// EncodableHistogram, ZigZagEncoding), and hdr_codec_test.cc holds strings that it made.
//
// V2, big-endian:  cookie 0x1c849313 · payload length, 4 bytes each · normalizing index offset 0 ·
// significant digits 3 · lowest value 1, 8 bytes · highest value · ratio, the double 1.0 · then the
// payload: the counts by bucket index up to the last that is not 0, each in ZigZag LEB128 of at
// most 9 bytes (the ninth carries 8 bits); a negative number -n stands for n empty buckets.
// V2 compressed:   cookie 0x1c849314 · length · the above as a zlib stream (RFC 1950).
// Text:            the compressed form in base64 (RFC 4648, section 4, with padding).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loadgen/histogram.h"

namespace loadgen {

std::vector<std::uint8_t> encode_v2(const Histogram& histogram);
std::string encode_v2_compressed_base64(const Histogram& histogram);

/// Read what the encoders (these, or HdrHistogram's for the same range and digits) wrote. The
/// buckets survive, the exact values do not: see Histogram::from_counts. Input is not trusted:
/// anything malformed, another layout, or more than 2^53 samples (beyond it a rank is not exact in
/// a double) throws std::runtime_error with one line that says what is wrong. Memory is bounded by
/// the layout (less than 2 MB), whatever the input's lengths claim.
Histogram decode_v2(std::span<const std::uint8_t> bytes);
Histogram decode_v2_compressed_base64(std::string_view text);

}  // namespace loadgen
