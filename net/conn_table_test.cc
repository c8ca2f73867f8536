// Slots and generations: an id finds its own connection or nothing, whatever came and went.
#include "net/conn_table.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace net {
namespace {

struct Conn {
  std::uint32_t generation = 0;
  int value = -1;
};

TEST(ConnTable, FindsWhatWasAdded) {
  ConnTable<Conn> table;
  const ConnId id = table.add();
  ASSERT_NE(table.find(id), nullptr);
  table.find(id)->value = 7;
  EXPECT_EQ(table[id.slot].value, 7);
  EXPECT_EQ(std::as_const(table).find(id)->value, 7);
}

TEST(ConnTable, FindsNothingInAnEmptyOne) {
  ConnTable<Conn> table;
  EXPECT_EQ(table.find({0, 1}), nullptr);
  EXPECT_EQ(table.find({}), nullptr);
  EXPECT_EQ(table.slots(), 0U);
  EXPECT_EQ(table.used(), 0U);
}

TEST(ConnTable, NoIdHasGenerationZero) {
  ConnTable<Conn> table;
  for (int i = 0; i < 1000; ++i) EXPECT_NE(table.add().generation, 0U);
  EXPECT_EQ(table.find({}), nullptr);
  EXPECT_EQ(table.find({999, 0}), nullptr);
}

TEST(ConnTable, FindsNothingBeyondItsSlots) {
  ConnTable<Conn> table;
  table.add();
  EXPECT_EQ(table.find({table.slots(), 1}), nullptr);
  EXPECT_EQ(table.find({~0U, 1}), nullptr);
}

TEST(ConnTable, AFreedIdFindsNothing) {
  ConnTable<Conn> table;
  const ConnId id = table.add();
  table.free(id);
  EXPECT_EQ(table.find(id), nullptr);
}

TEST(ConnTable, AStaleIdDoesNotFindTheNextInItsSlot) {
  ConnTable<Conn> table;
  const ConnId stale = table.add();
  table.free(stale);
  const ConnId next = table.add();
  EXPECT_EQ(next.slot, stale.slot);
  EXPECT_NE(next, stale);
  EXPECT_EQ(table.find(stale), nullptr);
  EXPECT_NE(table.find(next), nullptr);
}

TEST(ConnTable, GivesASlotBackAsNew) {
  struct Owner {
    std::uint32_t generation = 0;
    std::shared_ptr<int> owned;
  };
  ConnTable<Owner> table;
  const ConnId id = table.add();
  const auto owned = table[id.slot].owned = std::make_shared<int>(1);
  table.free(id);
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_EQ(table[table.add().slot].owned, nullptr);
}

TEST(ConnTable, TakesTheSlotFreedLast) {
  ConnTable<Conn> table;
  const ConnId first = table.add();
  const ConnId second = table.add();
  table.free(second);
  table.free(first);
  EXPECT_EQ(table.add().slot, first.slot);
  EXPECT_EQ(table.add().slot, second.slot);
}

TEST(ConnTable, BeginsWithTheLowSlots) {
  ConnTable<Conn> table;
  for (std::uint32_t slot = 0; slot < 600; ++slot) EXPECT_EQ(table.add().slot, slot);
}

TEST(ConnTable, KnowsHowManyPlacesThereWillBe) {
  ConnTable<Conn> table;
  for (int i = 0; i < 1000; ++i) {
    const std::size_t places = table.places();
    table.add();
    ASSERT_GE(places, table.slots());
    ASSERT_LE(places, std::size_t{2} * table.slots());
  }
}

TEST(ConnTable, ReferencesOutliveGrowth) {
  ConnTable<Conn> table;
  const ConnId id = table.add();
  Conn* const conn = table.find(id);
  conn->value = 42;
  for (int i = 0; i < 10'000; ++i) table.add();
  EXPECT_EQ(table.find(id), conn);
  EXPECT_EQ(conn->value, 42);
}

TEST(ConnTable, GenerationsWrapWithoutZero) {
  ConnTable<Conn> table;
  const std::uint32_t slot = table.add().slot;
  table[slot].generation = ConnTable<Conn>::kLastGeneration;
  const ConnId last{slot, ConnTable<Conn>::kLastGeneration};
  ASSERT_NE(table.find(last), nullptr);
  table.free(last);
  EXPECT_EQ(table.add(), (ConnId{slot, 1}));
}

TEST(ConnTable, AgreesWithAModel) {
  std::mt19937 random(1);
  ConnTable<Conn> table;
  std::map<std::pair<std::uint32_t, std::uint32_t>, int> alive;
  std::vector<ConnId> dead;
  std::set<std::pair<std::uint32_t, std::uint32_t>> ever;
  for (int step = 0; step < 20'000; ++step) {
    const bool grows = (step / 4000) % 2 == 0;
    if (alive.empty() || random() % 10 < (grows ? 6U : 4U)) {
      const ConnId id = table.add();
      ASSERT_TRUE(ever.insert({id.slot, id.generation}).second) << "an id came twice";
      table.find(id)->value = alive[{id.slot, id.generation}] = step;
    } else {
      auto it = alive.lower_bound({random() % table.slots(), 0});
      if (it == alive.end()) it = alive.begin();
      const ConnId id{it->first.first, it->first.second};
      ASSERT_EQ(table.find(id)->value, it->second);
      table.free(id);
      alive.erase(it);
      dead.push_back(id);
    }
    ASSERT_EQ(table.used(), alive.size());
    if (!dead.empty()) {
      ASSERT_EQ(table.find(dead[random() % dead.size()]), nullptr);
    }
  }
  for (const auto& [id, value] : alive) EXPECT_EQ(table.find({id.first, id.second})->value, value);
}

}  // namespace
}  // namespace net
