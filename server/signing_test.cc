// What a node signs, however its stream is cut into pieces.
#include "server/signing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>

namespace server {
namespace {

constexpr std::string_view kSignature = " > alice";

std::string_view text_of(net::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// All that goes out for what comes in, by pieces of at most `most` bytes.
std::string signed_by_pieces(std::string_view text, std::size_t most, bool finish = true) {
  SignedStream stream;
  std::string out;
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, most);
    text.remove_prefix(piece.size());
    net::Bytes next = stream.sign(kSignature, std::as_bytes(std::span(piece)));
    for (; !next.empty(); next = stream.sign_rest(kSignature)) {
      EXPECT_LE(next.size(), SignedStream::kPiece + kSignature.size() + 2);
      out += text_of(next);
    }
  }
  if (finish) out += text_of(stream.finish(kSignature));
  EXPECT_FALSE(stream.line_too_long());
  return out;
}

TEST(SignedStream, SignsEachLine) {
  EXPECT_EQ(signed_by_pieces("hello\ngood bye\n", 1000), "hello > alice\ngood bye > alice\n");
}

TEST(SignedStream, SignsBeforeTheWholeOfALineEnd) {
  EXPECT_EQ(signed_by_pieces("dos\r\n", 1000), "dos > alice\r\n");
}

TEST(SignedStream, ReturnsAloneAreNoLineEnds) {
  EXPECT_EQ(signed_by_pieces("a\rb\r\r\nc\r", 1000), "a\rb\r > alice\r\nc > alice\r");
}

TEST(SignedStream, SignsTheLastLineWhenTheStreamEnds) {
  EXPECT_EQ(signed_by_pieces("one\ntwo", 1000), "one > alice\ntwo > alice");
  EXPECT_EQ(signed_by_pieces("one\n", 1000), "one > alice\n");
  EXPECT_EQ(signed_by_pieces("", 1000), "");
}

TEST(SignedStream, SignsEmptyLines) {
  EXPECT_EQ(signed_by_pieces("\n\r\n", 1000), " > alice\n > alice\r\n");
}

TEST(SignedStream, PassesALineOnBeforeItsEnd) {
  EXPECT_EQ(signed_by_pieces("no end yet", 1000, false), "no end yet");
}

TEST(SignedStream, DoesNotDependOnHowTheStreamIsCut) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (auto size = random() % 300; text.size() < size;) text += "ab\r\n"[random() % 4];
    const std::string whole = signed_by_pieces(text, text.size() + 1);
    for (const std::size_t most : {1U, 2U, 3U, 7U}) {
      ASSERT_EQ(signed_by_pieces(text, most), whole) << "in pieces of " << most;
    }
  }
}

TEST(SignedStream, GrowsByPiecesHoweverManyLinesThereAre) {
  const std::string lines(64 * 1024, '\n');
  const std::string out = signed_by_pieces(lines, lines.size());
  EXPECT_EQ(out.size(), lines.size() * (kSignature.size() + 1));
  EXPECT_EQ(std::ranges::count(out, '\n'), 64 * 1024);
}

TEST(SignedStream, TakesTheLongestLineAndNoLonger) {
  std::string line(SignedStream::kLongestLine, 'x');
  EXPECT_EQ(signed_by_pieces(line + "\n", 1000), line + " > alice\n");

  SignedStream stream;
  stream.sign(kSignature, std::as_bytes(std::span(line)));
  EXPECT_FALSE(stream.line_too_long());
  stream.sign(kSignature, std::as_bytes(std::span("x", 1)));
  EXPECT_TRUE(stream.line_too_long());
}

}  // namespace
}  // namespace server
