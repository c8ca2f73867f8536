// A server that lies in every way, at every offset, and whether the lie gets its name: byte by
// byte, at once, and never before there are bytes enough to tell.
#include "loadgen/diagnosis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace loadgen {
namespace {

std::string text_of(net::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

/// So many bytes that came from somewhere show where.
constexpr std::size_t kSample = 8;
/// So many are waited for, where so many can come.
constexpr std::size_t kEvidence = 128;

/// One connection with `pipeline` messages outstanding, and another that waits for as many.
class Conversation {
 public:
  Conversation(std::size_t size, std::size_t pipeline)
      : size_(size), pipeline_(pipeline), payload_(1, size), start_(payload_.start_of(0)) {}

  std::size_t size() const { return size_; }
  std::size_t pipeline() const { return pipeline_; }
  std::size_t total() const { return size_ * pipeline_; }

  /// What should come.
  std::string truth() const { return text_of(payload_.at(start_, total())); }
  std::string message(std::size_t i) const { return truth().substr(i * size_, size_); }
  std::string message_of_the_other(std::size_t i) const {
    return text_of(payload_.at(payload_.advance(payload_.start_of(1), i * size_), size_));
  }

  /// The fault that is named when this comes in pieces of `step` bytes and then no more.
  std::optional<Fault> judge(const std::string& came, std::size_t step) const {
    const std::string expected = truth();
    const auto good = static_cast<std::size_t>(
        std::mismatch(expected.begin(), expected.end(), came.begin(), came.end()).first -
        expected.begin());
    const std::size_t owed = expected.size() - good;
    const std::string wrong = came.substr(good);
    if (wrong.empty()) return std::nullopt;
    for (std::size_t size = std::min(step, wrong.size());;
         size = std::min(size + step, wrong.size())) {
      const bool final = size >= owed;
      const auto fault = diagnose_at(good, wrong.substr(0, size), final);
      if (fault && !final) {
        EXPECT_GE(size, std::min(kEvidence, owed)) << "told too early";
      }
      if (fault || size == wrong.size()) return fault ? fault : diagnose_at(good, wrong, true);
    }
  }

 private:
  std::optional<Fault> diagnose_at(std::size_t good, const std::string& wrong, bool final) const {
    const WrongBytes bytes{.expected_at = payload_.advance(start_, good),
                           .offset_in_message = good % size_,
                           .owed = total() - good,
                           .received = std::as_bytes(std::span(wrong)),
                           .final = final};
    return diagnose(payload_, bytes, [this](std::size_t position) {
      const std::size_t ahead = payload_.distance(payload_.start_of(1), position);
      return ahead % size_ == 0 && ahead / size_ < pipeline_;
    });
  }

  std::size_t size_;
  std::size_t pipeline_;
  Payload payload_;
  std::size_t start_;
};

std::string name(std::optional<Fault> fault) {
  return fault ? std::string(name_of(*fault)) : "nothing";
}

class DiagnosisTest : public ::testing::TestWithParam<std::pair<std::size_t, std::size_t>> {
 protected:
  const Conversation& talk() const { return talk_; }

  /// Byte by byte where that is not too slow, in larger pieces, and at once.
  void expect(Fault fault, const std::string& came, const std::string& what) const {
    std::set<std::size_t> steps = {37, came.size()};
    if (talk_.size() <= 128) steps.insert(1);
    for (const std::size_t step : steps) {
      ASSERT_EQ(name(talk_.judge(came, step)), name(fault)) << what << ", " << step << " at a time";
    }
  }
  /// All places in the first message and the last two, and some between.
  std::vector<std::size_t> offsets() const {
    std::set<std::size_t> some;
    const std::size_t dense = std::min<std::size_t>(talk_.size(), 20);
    for (std::size_t i = 0; i < dense; ++i) {
      some.insert(i);
      some.insert(talk_.size() - 1 - i);
      some.insert(talk_.total() - 1 - i);
    }
    for (std::size_t i = 0; i < 10; ++i) some.insert(i * talk_.total() / 10);
    return {some.begin(), some.end()};
  }
  static std::string at(std::size_t offset) { return "at " + std::to_string(offset); }

 private:
  Conversation talk_{GetParam().first, GetParam().second};
};

INSTANTIATE_TEST_SUITE_P(
    Sizes, DiagnosisTest,
    ::testing::Values(std::pair{1, 1}, std::pair{1, 64}, std::pair{5, 16}, std::pair{8, 16},
                      std::pair{16, 1}, std::pair{16, 8}, std::pair{64, 1}, std::pair{64, 2},
                      std::pair{64, 16}, std::pair{100, 3}, std::pair{500, 4}, std::pair{4096, 3}),
    [](const auto& test) {
      return std::to_string(test.param.first) + "_bytes_times_" + std::to_string(test.param.second);
    });

TEST_P(DiagnosisTest, NothingIsWrongWithTheTruth) {
  EXPECT_EQ(talk().judge(talk().truth(), 1), std::nullopt);
  EXPECT_EQ(talk().judge(talk().truth().substr(0, talk().total() / 2), 1), std::nullopt);
}

TEST_P(DiagnosisTest, AFlippedBit) {
  for (const std::size_t offset : offsets()) {
    std::string came = talk().truth();
    came[offset] = static_cast<char>(came[offset] ^ (1 << offset % 8));
    expect(Fault::kFlipped, came, at(offset));
  }
}

TEST_P(DiagnosisTest, ALostMessage) {
  for (std::size_t i = 0; i < talk().pipeline(); ++i) {
    std::string came = talk().truth();
    came.erase(i * talk().size(), talk().size());
    if (came.size() < i * talk().size() + kSample + 1) continue;  // too little to tell
    expect(Fault::kLost, came, "message " + std::to_string(i));
  }
}

TEST_P(DiagnosisTest, AMessageThatCameTwice) {
  if (talk().size() < kSample) return;  // too short to tell
  for (std::size_t i = 0; i < talk().pipeline(); ++i) {
    std::string came = talk().truth();
    came.insert(i * talk().size(), talk().message(i));
    if (i + 1 == talk().pipeline()) {
      EXPECT_EQ(talk().judge(came, came.size()), Fault::kDuplicated);  // nothing was owed any more
    } else {
      expect(Fault::kDuplicated, came, "message " + std::to_string(i));
    }
  }
}

TEST_P(DiagnosisTest, MessagesThatChangedPlaces) {
  if (talk().size() < kSample) return;  // too short to tell
  for (std::size_t i = 0; i + 1 < talk().pipeline(); ++i) {
    std::string came = talk().truth();
    came.replace(i * talk().size(), 2 * talk().size(), talk().message(i + 1) + talk().message(i));
    expect(Fault::kReordered, came, "message " + std::to_string(i));
  }
}

TEST_P(DiagnosisTest, AMessageThatLacksBytes) {
  for (const std::size_t offset : offsets()) {
    const std::size_t rest = talk().size() - offset % talk().size();
    for (const std::size_t missing : {std::size_t{1}, rest / 2, rest}) {
      if (missing == 0 || missing == talk().size()) continue;
      std::string came = talk().truth();
      came.erase(offset, missing);
      if (came.size() < offset + kSample + 1) continue;  // too little to tell
      expect(Fault::kTruncated, came, at(offset) + ", missing " + std::to_string(missing));
    }
  }
}

TEST_P(DiagnosisTest, AMessageOfAnotherInsteadOfOnesOwn) {
  if (talk().size() < 2 * kSample) return;  // too short to tell
  for (std::size_t i = 0; i < talk().pipeline(); ++i) {
    std::string came = talk().truth();
    came.replace(i * talk().size(), talk().size(),
                 talk().message_of_the_other(talk().pipeline() - 1 - i));
    expect(Fault::kForeign, came, "message " + std::to_string(i));
  }
}

TEST_P(DiagnosisTest, AMessageOfAnotherBeforeOnesOwn) {
  if (talk().size() < kSample) return;  // too short to tell
  for (std::size_t i = 0; i < talk().pipeline(); ++i) {
    std::string came = talk().truth();
    came.insert(i * talk().size(), talk().message_of_the_other(i));
    expect(Fault::kForeign, came, "message " + std::to_string(i));
  }
}

TEST_P(DiagnosisTest, NoiseFromSomewhereOn) {
  for (const std::size_t offset : offsets()) {
    const std::size_t rest = talk().total() - offset;
    if (rest < 2 * kSample) continue;
    expect(Fault::kGarbled, talk().truth().substr(0, offset) + noise(rest, 1), at(offset));
  }
}

TEST_P(DiagnosisTest, NoiseInTheRestOfAMessage) {
  for (const std::size_t offset : offsets()) {
    const std::size_t rest = talk().size() - offset % talk().size();
    if (rest < 2 * kSample) continue;
    std::string came = talk().truth();
    came.replace(offset, rest, noise(rest, 2));
    expect(Fault::kGarbled, came, at(offset));
  }
}

TEST_P(DiagnosisTest, BytesThatNobodyAskedForInTheMiddle) {
  for (const std::size_t offset : offsets()) {
    for (const std::size_t more : {1U, 3U, 7U, 20U, 100U}) {
      if (talk().total() - offset < more + kSample + 1) continue;  // too little to tell
      std::string came = talk().truth();
      came.insert(offset, noise(more, 3));
      expect(Fault::kExtra, came, at(offset) + ", " + std::to_string(more) + " more");
    }
  }
}

TEST_P(DiagnosisTest, BytesThatNobodyAskedForAtTheEnd) {
  for (const std::size_t more : {1U, 3U, 20U, 1000U}) {
    expect(Fault::kExtra, talk().truth() + noise(more, 4), std::to_string(more) + " more");
  }
}

TEST_P(DiagnosisTest, AlwaysSaysSomethingInTheEnd) {
  std::mt19937 random(5);
  for (int i = 0; i < 200; ++i) {
    std::string came = talk().truth();
    for (std::size_t changes = 1 + random() % 4; changes > 0; --changes) {
      const std::size_t offset = random() % (came.size() + 1);
      if (random() % 2 == 0) {
        came.insert(offset, noise(random() % 20, static_cast<unsigned>(i)));
      } else {
        came.erase(offset, random() % 20);
      }
    }
    const bool a_prefix = talk().truth().compare(0, came.size(), came) == 0;
    EXPECT_EQ(talk().judge(came, 37).has_value(), !a_prefix) << i;
  }
}

/// Whether these bytes are taken for a signature where the payload goes on with `next`.
bool is_signature_before(char next, const std::string& came) {
  const Payload payload(1, 64);
  std::size_t at = 0;
  while (static_cast<char>(payload.at(at, 1)[0]) != next) ++at;
  return is_signature(payload, {.expected_at = at,
                                .offset_in_message = 0,
                                .owed = 64,
                                .received = std::as_bytes(std::span(came)),
                                .final = false});
}

TEST(Signature, IsOneWhereALineEnds) {
  EXPECT_TRUE(is_signature_before('\n', " > alice\n"));
  EXPECT_TRUE(is_signature_before('\r', " > alice\r\n"));
  EXPECT_TRUE(is_signature_before('\n', " > "));
}

TEST(Signature, IsNoneElsewhere) {
  EXPECT_FALSE(is_signature_before('a', " > alice\n"));
  EXPECT_FALSE(is_signature_before('\n', "> alice\n"));
  EXPECT_FALSE(is_signature_before('\n', " >"));
}

TEST(FaultName, IsAsInTheResult) {
  const std::vector<std::pair<Fault, std::string>> names = {
      {Fault::kFlipped, "flipped"},       {Fault::kLost, "lost"},
      {Fault::kDuplicated, "duplicated"}, {Fault::kReordered, "reordered"},
      {Fault::kTruncated, "truncated"},   {Fault::kForeign, "foreign"},
      {Fault::kGarbled, "garbled"},       {Fault::kExtra, "extra"}};
  for (const auto& [fault, text] : names) EXPECT_EQ(name_of(fault), text);
}

}  // namespace
}  // namespace loadgen
