// The server's book of its connections against one kept naively, and the clock that wraps.
#include "server/connections.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

namespace server {
namespace {

using net::ConnId;
using net::kMillisecond;
using net::kNever;
using net::kSecond;
using net::Nanos;

constexpr std::uint32_t kNoLimit = ~std::uint32_t{0};
/// After so long a time of the book begins again.
constexpr Nanos kWrap = (Nanos{1} << 30) * kMillisecond;

std::vector<ConnId> all_of(const Connections& connections) {
  std::vector<ConnId> all;
  connections.for_each([&](ConnId id) { all.push_back(id); });
  return all;
}

TEST(Connections, CountsThem) {
  Connections connections(kNoLimit);
  EXPECT_EQ(connections.count(), 0U);
  connections.add({0, 1});
  connections.add({7, 1});
  EXPECT_EQ(connections.count(), 2U);
  EXPECT_TRUE(connections.remove({0, 1}));
  EXPECT_EQ(connections.count(), 1U);
}

TEST(Connections, IsFullAtItsLimit) {
  Connections connections(2);
  connections.add({0, 1});
  EXPECT_FALSE(connections.full());
  connections.add({1, 1});
  EXPECT_TRUE(connections.full());
  connections.remove({0, 1});
  EXPECT_FALSE(connections.full());
  EXPECT_TRUE(Connections(0).full());
}

TEST(Connections, RemovesOnlyWhatWasAdded) {
  Connections connections(kNoLimit);
  EXPECT_FALSE(connections.remove({0, 1}));
  connections.add({3, 5});
  EXPECT_FALSE(connections.remove({3, 4}));
  EXPECT_FALSE(connections.remove({2, 5}));
  EXPECT_FALSE(connections.remove({4, 5}));
  EXPECT_TRUE(connections.remove({3, 5}));
  EXPECT_FALSE(connections.remove({3, 5}));
  EXPECT_EQ(connections.count(), 0U);
}

TEST(Connections, RemembersWhatIsOwedAndWhatWasFinished) {
  Connections connections(kNoLimit);
  connections.add({0, 1});
  EXPECT_FALSE(connections.owed({0, 1}) || connections.finished({0, 1}));
  connections.set_owed({0, 1}, true);
  EXPECT_TRUE(connections.owed({0, 1}));
  connections.set_owed({0, 1}, false);
  EXPECT_FALSE(connections.owed({0, 1}));
  connections.set_finished({0, 1});
  EXPECT_TRUE(connections.finished({0, 1}));
}

TEST(Connections, ANewOneInAnOldSlotOwesNothing) {
  Connections connections(kNoLimit);
  connections.add({0, 1});
  connections.set_owed({0, 1}, true);
  connections.set_finished({0, 1});
  connections.remove({0, 1});
  connections.add({0, 2});
  EXPECT_FALSE(connections.owed({0, 2}) || connections.finished({0, 2}));
}

TEST(Connections, VisitsAllAndEachMayBeRemovedMeanwhile) {
  Connections connections(kNoLimit);
  for (std::uint32_t slot = 0; slot < 10; ++slot) connections.add({slot, slot + 1});
  EXPECT_EQ(all_of(connections).size(), 10U);
  connections.for_each([&](ConnId id) { EXPECT_TRUE(connections.remove(id)); });
  EXPECT_TRUE(all_of(connections).empty());
}

TEST(ConnectionsIdle, NobodyIsWithoutATimeout) {
  Connections connections(kNoLimit);
  connections.add({0, 1});
  Nanos next_at = 0;
  EXPECT_EQ(connections.idle(1000 * kSecond, kNever, next_at), ConnId{});
  EXPECT_EQ(next_at, kNever);
}

TEST(ConnectionsIdle, AnEmptyBookIsAskedAgainAfterATimeout) {
  const Connections connections(kNoLimit);
  Nanos next_at = 0;
  EXPECT_EQ(connections.idle(kSecond, 5 * kSecond, next_at), ConnId{});
  EXPECT_EQ(next_at, 6 * kSecond);
}

TEST(ConnectionsIdle, IsTheOneThatWasSilentLongestAndLongEnough) {
  Connections connections(kNoLimit);
  connections.set_time(1 * kSecond);
  connections.add({0, 1});
  connections.set_time(2 * kSecond);
  connections.add({1, 1});
  connections.set_time(4 * kSecond);
  connections.moved({0, 1});

  Nanos next_at = 0;
  EXPECT_EQ(connections.idle(6 * kSecond, 5 * kSecond, next_at), ConnId{});
  EXPECT_EQ(next_at, 7 * kSecond);
  EXPECT_EQ(connections.idle(7 * kSecond, 5 * kSecond, next_at), (ConnId{1, 1}));
  connections.remove({1, 1});
  EXPECT_EQ(connections.idle(7 * kSecond, 5 * kSecond, next_at), ConnId{});
  EXPECT_EQ(next_at, 9 * kSecond);
  EXPECT_EQ(connections.idle(9 * kSecond, 5 * kSecond, next_at), (ConnId{0, 1}));
}

TEST(ConnectionsIdle, AskingAgainWhenTheBookSaysFindsIt) {
  Connections connections(kNoLimit);
  const Nanos added = 17 * kSecond + 123'456;  // between two milliseconds
  connections.set_time(added);
  connections.add({0, 1});
  Nanos next_at = added;
  for (int i = 0; connections.idle(next_at, 5 * kSecond, next_at) == ConnId{}; ++i) {
    ASSERT_LT(i, 3) << "it is asked without end";
  }
}

TEST(ConnectionsIdle, TheClockMayWrap) {
  for (const Nanos begin : {kWrap - 2 * kSecond, 3 * kWrap - kMillisecond, 4 * kWrap}) {
    Connections connections(kNoLimit);
    connections.set_time(begin);
    connections.add({0, 1});
    connections.set_time(begin + kSecond);
    connections.add({1, 1});
    Nanos next_at = 0;
    EXPECT_EQ(connections.idle(begin + 4 * kSecond, 5 * kSecond, next_at), ConnId{}) << begin;
    EXPECT_EQ(next_at, begin + 5 * kSecond);
    EXPECT_EQ(connections.idle(begin + 5 * kSecond, 5 * kSecond, next_at), (ConnId{0, 1}));
  }
}

/// The same book, kept so that it is plain to be right.
class NaiveConnections {
 public:
  struct Entry {
    ConnId id;
    Nanos active;
    bool owed = false;
    bool finished = false;
  };

  void add(ConnId id, Nanos now) { entries_.push_back({id, now}); }
  Entry& at(ConnId id) { return *find(id); }
  void moved(ConnId id, bool owed, Nanos now) {
    Entry entry = at(id);
    entries_.erase(find(id));
    entry.owed = owed;
    entry.active = now;
    entries_.push_back(entry);
  }
  void remove(ConnId id) { entries_.erase(find(id)); }
  std::optional<ConnId> idle(Nanos now, Nanos timeout) const {
    if (entries_.empty() || now - entries_.front().active < timeout) return std::nullopt;
    return entries_.front().id;
  }
  const std::vector<Entry>& by_silence() const { return entries_; }

 private:
  std::vector<Entry>::iterator find(ConnId id) {
    return std::ranges::find(entries_, id, &Entry::id);
  }
  std::vector<Entry> entries_;
};

/// Both books through the same random life, beginning at this time.
void agree(unsigned seed, Nanos now) {
  std::mt19937 random(seed);
  Connections book(kNoLimit);
  NaiveConnections naive;
  std::vector<std::uint32_t> generations(40, 0), free;
  for (std::uint32_t slot = 0; slot < generations.size(); ++slot) free.push_back(slot);
  const auto anyone = [&] { return naive.by_silence()[random() % naive.by_silence().size()].id; };
  const auto leave = [&](ConnId id) {
    ASSERT_TRUE(book.remove(id));
    naive.remove(id);
    free.push_back(id.slot);
  };

  for (int step = 0; step < 5000; ++step) {
    now += static_cast<Nanos>(random() % 300) * kMillisecond;
    book.set_time(now);
    const auto what = random() % 10;
    if (what < 3 && !free.empty()) {
      std::swap(free[random() % free.size()], free.back());
      const ConnId id{free.back(), ++generations[free.back()]};
      free.pop_back();
      book.add(id);
      naive.add(id, now);
    } else if (what < 8 && !naive.by_silence().empty()) {
      const ConnId id = anyone();
      const bool owed = random() % 2 == 0;
      book.set_owed(id, owed);
      book.moved(id);
      naive.moved(id, owed, now);
    } else if (what == 8 && !naive.by_silence().empty()) {
      leave(anyone());
    } else if (!naive.by_silence().empty()) {
      const ConnId id = anyone();
      book.set_finished(id);
      naive.at(id).finished = true;
    }

    const Nanos timeout = static_cast<Nanos>(1 + random() % 8) * kSecond;
    Nanos next_at = 0;
    const ConnId idle = book.idle(now, timeout, next_at);
    ASSERT_EQ(idle, naive.idle(now, timeout).value_or(ConnId{})) << "step " << step;
    if (idle == ConnId{} && !naive.by_silence().empty()) {
      ASSERT_EQ(next_at, naive.by_silence().front().active + timeout);
    }
    if (idle != ConnId{}) leave(idle);

    ASSERT_EQ(book.count(), naive.by_silence().size());
    std::vector<ConnId> expected;
    for (const auto& entry : naive.by_silence()) {
      expected.push_back(entry.id);
      ASSERT_EQ(book.owed(entry.id), entry.owed);
      ASSERT_EQ(book.finished(entry.id), entry.finished);
    }
    ASSERT_EQ(all_of(book), expected) << "step " << step;
  }
}

TEST(Connections, AgreesWithANaiveBook) { agree(1, kSecond); }

TEST(Connections, AgreesWithANaiveBookWhileTheClockWraps) {
  agree(2, kWrap - 100 * kSecond);
  agree(3, 4 * kWrap - 100 * kSecond);  // where 32 bits of milliseconds wrap as well
}

}  // namespace
}  // namespace server
