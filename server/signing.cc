#include "server/signing.h"

#include <algorithm>

namespace server {

net::Bytes SignedStream::sign(std::string_view signature, net::Bytes received) {
  const std::string_view text(reinterpret_cast<const char*>(received.data()), received.size());
  forget(out_);
  rest_.assign(text.substr(take(signature, text)));
  return piece();
}

net::Bytes SignedStream::sign_rest(std::string_view signature) {
  forget(out_);
  rest_.erase(0, take(signature, rest_));
  if (rest_.empty()) forget(rest_);
  return piece();
}

net::Bytes SignedStream::finish(std::string_view signature) {
  forget(out_);
  if (line_ > 0) out_ += signature;
  if (returned_) out_ += '\r';
  line_ = 0;
  returned_ = false;
  return piece();
}

/// How much of the text went into the piece.
std::size_t SignedStream::take(std::string_view signature, std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && out_.size() < kPiece && !line_too_long()) {
    if (text[at] == '\n') {
      out_ += signature;
      out_ += returned_ ? "\r\n" : "\n";
      returned_ = false;
      line_ = 0;
      ++at;
      continue;
    }
    if (returned_) out_ += '\r';
    returned_ = text[at] == '\r';
    const std::size_t room = at + kPiece - out_.size();
    const std::size_t line_end = std::min(text.find_first_of("\r\n", at), text.size());
    const std::size_t end = returned_ ? at + 1 : std::min(line_end, room);
    if (!returned_) out_ += text.substr(at, end - at);
    line_ += end - at;
    at = end;
  }
  return at;
}

/// A silent connection should hold no memory, and a busy one should not ask for it each time.
void SignedStream::forget(std::string& text) {
  constexpr std::size_t kSmall = 4096;
  if (text.capacity() > kSmall) std::string().swap(text);
  text.clear();
}

}  // namespace server
