// The HDR codec's readers: whatever the bytes, they are a histogram that is written and read back
// the same, or are refused.
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string_view>

#include "fuzz/check.h"
#include "loadgen/hdr_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const loadgen::Histogram read = loadgen::decode_v2(std::span(data, size));
    const loadgen::Histogram again = loadgen::decode_v2(loadgen::encode_v2(read));
    fuzz::check(again.count() == read.count() && again.max() == read.max() &&
                    again.quantile(0.5) == read.quantile(0.5),
                "what was written is read back the same");
  } catch (const std::runtime_error&) {
  }
  try {
    loadgen::decode_v2_compressed_base64({reinterpret_cast<const char*>(data), size});
  } catch (const std::runtime_error&) {
  }
  return 0;
}
