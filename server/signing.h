// Lines that are signed: ` > NAME` is put at the end of each, so that a line which went through
// many nodes tells which ones, in order. A line ends with "\n" or "\r\n"; what the stream ends with
// is a line too.
//
// The stream is signed as it passes, and no line is kept: what costs memory is that signed bytes
// are more than those that came, so they are made in pieces, each sent before the next is made.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "net/engine.h"

namespace server {

/// One direction of one connection.
class SignedStream {
 public:
  static constexpr std::size_t kLongestLine = 64 * 1024;
  /// One piece is at most this and a signature longer.
  static constexpr std::size_t kPiece = 64 * 1024;

  /// The piece to send now for these bytes. It may be empty, and is valid until the next call.
  net::Bytes sign(std::string_view signature, net::Bytes received);
  /// The next piece of the same bytes; empty where all are signed.
  net::Bytes sign_rest(std::string_view signature);
  /// What ends the last line, after FIN.
  net::Bytes finish(std::string_view signature);

  /// A line was longer than kLongestLine: the stream can't be trusted to be one of lines.
  bool line_too_long() const { return line_ > kLongestLine; }

 private:
  std::size_t take(std::string_view signature, std::string_view text);
  net::Bytes piece() const { return std::as_bytes(std::span(out_)); }
  void forget(std::string& text);

  std::string out_;
  std::string rest_;       // received and not signed yet
  std::size_t line_ = 0;   // bytes of the line so far
  bool returned_ = false;  // it ends with "\r", which is held back: "\n" may follow
};

}  // namespace server
