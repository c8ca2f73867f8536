#include "loadgen/diagnosis.h"

#include <algorithm>
#include <cstring>

namespace loadgen {
namespace {

// So many bytes show whether the stream goes on in step, and any insertion shorter than that.
constexpr std::size_t kEvidence = 128;
// So many random bytes stand at no second place of the payload, but for one time in 2^44.
constexpr std::size_t kSample = 8;
constexpr std::size_t kLongSample = 16;

class Examination {
 public:
  Examination(const Payload& payload, const WrongBytes& wrong)
      : payload_(payload),
        wrong_(wrong),
        evidence_(wrong.received.first(std::min(kEvidence, wrong.received.size()))) {}

  bool too_early() const {
    return !wrong_.final && evidence_.size() < kEvidence && evidence_.size() < wrong_.owed;
  }

  // A flip spoils little of its message, and leaves what follows in step.
  bool in_step() const {
    const std::size_t rest = payload_.message_size() - wrong_.offset_in_message;
    const std::size_t here = std::min(rest, evidence_.size());
    const std::size_t wrong = mismatches(0, here);
    const bool message_stands = wrong == 1 || wrong * 4 <= here;
    return message_stands && mismatches(here, evidence_.size()) * 4 <= evidence_.size() - here;
  }

  // Too few bytes to tell where they are from, and no more came: some are missing at any rate.
  bool a_remnant() const {
    return evidence_.size() < kSample && wrong_.received.size() < wrong_.owed;
  }

  // How many bytes stand before the expected ones, where those do come.
  std::size_t inserted() const {
    if (evidence_.size() < kSample + 1) return 0;
    const net::Bytes expected = payload_.at(wrong_.expected_at, kSample);
    const auto found =
        std::search(evidence_.begin() + 1, evidence_.end(), expected.begin(), expected.end());
    return found == evidence_.end() ? 0 : static_cast<std::size_t>(found - evidence_.begin());
  }

  std::optional<std::size_t> origin(std::size_t most) const {
    const std::size_t size = std::min({kLongSample, most, evidence_.size()});
    if (size < kSample / 2) return std::nullopt;
    if (const auto found = payload_.find(evidence_.first(size))) return found;
    // The sample may reach into another message, which need not be the next one.
    const std::size_t rest = payload_.message_size() - wrong_.offset_in_message;
    if (rest >= size || rest < kSample / 2) return std::nullopt;
    return payload_.find(evidence_.first(rest));
  }

  std::size_t ahead(std::size_t position) const {
    return payload_.distance(wrong_.expected_at, position);
  }
  bool whole_messages(std::size_t distance) const {
    return distance != 0 && distance % payload_.message_size() == 0;
  }
  bool repeats(std::size_t position) const {
    const std::size_t behind = payload_.period() - ahead(position);
    return whole_messages(behind) && behind <= 8 * payload_.message_size();
  }
  bool skips(std::size_t position) const {
    return whole_messages(ahead(position)) && ahead(position) <= wrong_.owed;
  }

  // Whether the skipped message comes next, so that it was only overtaken.
  std::optional<Fault> lost_or_reordered() const {
    const std::size_t next = payload_.message_size() - wrong_.offset_in_message;
    const std::size_t needed = next + kSample;
    if (wrong_.received.size() < needed) {
      if (wrong_.final || wrong_.owed < needed) return Fault::kLost;
      return std::nullopt;
    }
    const std::size_t skipped =
        payload_.advance(wrong_.expected_at, payload_.period() - wrong_.offset_in_message);
    const net::Bytes follows = wrong_.received.subspan(next, kSample);
    const bool came = std::ranges::equal(follows, payload_.at(skipped, kSample));
    return came ? Fault::kReordered : Fault::kLost;
  }

 private:
  std::size_t mismatches(std::size_t from, std::size_t to) const {
    const net::Bytes expected = payload_.at(wrong_.expected_at, evidence_.size());
    std::size_t wrong = 0;
    for (std::size_t i = from; i < to; ++i) {
      if (evidence_[i] != expected[i]) ++wrong;
    }
    return wrong;
  }

  const Payload& payload_;
  const WrongBytes& wrong_;
  net::Bytes evidence_;
};

}  // namespace

std::string_view name_of(Fault fault) {
  switch (fault) {
    case Fault::kFlipped:
      return "flipped";
    case Fault::kLost:
      return "lost";
    case Fault::kDuplicated:
      return "duplicated";
    case Fault::kReordered:
      return "reordered";
    case Fault::kTruncated:
      return "truncated";
    case Fault::kForeign:
      return "foreign";
    case Fault::kGarbled:
      return "garbled";
    case Fault::kExtra:
      break;
  }
  return "extra";
}

bool is_signature(const Payload& payload, const WrongBytes& wrong) {
  constexpr std::string_view kSignature = " > ";
  if (wrong.owed == 0 || wrong.received.size() < kSignature.size()) return false;
  const auto expected = static_cast<char>(payload.at(wrong.expected_at, 1)[0]);
  const bool at_line_end = expected == '\n' || expected == '\r';
  return at_line_end &&
         std::memcmp(wrong.received.data(), kSignature.data(), kSignature.size()) == 0;
}

std::optional<Fault> diagnose(const Payload& payload, const WrongBytes& wrong,
                              const AwaitedElsewhere& awaited_elsewhere) {
  const Examination seen(payload, wrong);
  if (wrong.owed == 0) {
    const auto origin = seen.origin(kLongSample);
    return origin && seen.repeats(*origin) ? Fault::kDuplicated : Fault::kExtra;
  }
  if (seen.too_early()) return std::nullopt;
  if (seen.in_step()) return Fault::kFlipped;

  const std::size_t inserted = seen.inserted();
  const auto origin = seen.origin(inserted == 0 ? kLongSample : inserted);
  if (!origin && inserted != 0) return Fault::kExtra;
  if (!origin) return seen.a_remnant() ? Fault::kTruncated : Fault::kGarbled;
  const std::size_t message =
      payload.advance(*origin, payload.period() - wrong.offset_in_message % payload.period());
  if (awaited_elsewhere(message)) return Fault::kForeign;
  if (seen.repeats(*origin)) return Fault::kDuplicated;
  if (seen.skips(*origin)) return seen.lost_or_reordered();
  if (inserted != 0) return Fault::kExtra;
  return seen.ahead(*origin) < payload.message_size() ? Fault::kTruncated : Fault::kForeign;
}

}  // namespace loadgen
