// The signing of lines: however a text comes in pieces, what goes out is what it would be in one.
// The first byte says how long the pieces are.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fuzz/check.h"
#include "server/signing.h"

namespace {

constexpr std::string_view kSignature = " > here";

struct Signed {
  std::string text;
  bool line_too_long = false;
};

/// What goes out for a text that comes in pieces of so many bytes, until a line is too long.
Signed signed_in_pieces(std::string_view text, std::size_t piece) {
  server::SignedStream stream;
  Signed out;
  const auto append = [&](net::Bytes bytes) {
    fuzz::check(bytes.size() <= server::SignedStream::kPiece + kSignature.size() + 2,
                "a piece is bounded");
    out.text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return !bytes.empty();
  };
  while (!text.empty() && !stream.line_too_long()) {
    append(stream.sign(kSignature, std::as_bytes(std::span(text.substr(0, piece)))));
    while (!stream.line_too_long() && append(stream.sign_rest(kSignature))) {
    }
    text.remove_prefix(std::min(piece, text.size()));
  }
  out.line_too_long = stream.line_too_long();
  if (!out.line_too_long) append(stream.finish(kSignature));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Signed whole = signed_in_pieces(text, std::max<std::size_t>(1, text.size()));
  const Signed pieces = signed_in_pieces(text, 1 + std::size_t{data[0]});
  fuzz::check(whole.line_too_long == pieces.line_too_long, "a line is too long however it comes");
  if (whole.line_too_long) return 0;  // it is noticed sooner or later, but not after the same bytes
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  const bool open = !text.empty() && text.back() != '\n';
  fuzz::check(pieces.text == whole.text, "pieces make no difference");
  fuzz::check(whole.text.size() == text.size() + (lines + (open ? 1 : 0)) * kSignature.size(),
              "one signature a line, and not a byte more or less");
  return 0;
}
