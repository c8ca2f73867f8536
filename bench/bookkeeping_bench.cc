// What is done for each message beside moving its bytes: the engine finds the connection, the
// server notes that it owes, the load generator takes the next arrival from the schedule, gives it
// to the connection whose turn it is, and counts it in its part of the window.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "loadgen/schedule.h"
#include "loadgen/tenths.h"
#include "loadgen/turns.h"
#include "net/conn_table.h"
#include "server/connections.h"

namespace {

struct Conn {
  int fd = -1;
  std::uint32_t generation = 0;
  std::uint64_t rest[2]{};  // about as large as an engine's
};

/// As many as the benchmark has connections, in the order in which they happen to become ready.
std::vector<net::ConnId> shuffled(std::vector<net::ConnId> ids) {
  std::shuffle(ids.begin(), ids.end(), std::mt19937(1));
  return ids;
}

void BM_Find(benchmark::State& state) {
  net::ConnTable<Conn> table;
  std::vector<net::ConnId> ids;
  for (std::int64_t i = 0; i < state.range(0); ++i) ids.push_back(table.add());
  ids = shuffled(ids);
  std::size_t turn = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.find(ids[turn])->fd);
    if (++turn == ids.size()) turn = 0;
  }
}
BENCHMARK(BM_Find)->ArgName("connections")->Arg(500)->Arg(19'000);

void BM_Owe(benchmark::State& state) {
  server::Connections connections(~std::uint32_t{0});
  std::vector<net::ConnId> ids;
  for (std::uint32_t slot = 0; slot < state.range(0); ++slot) {
    ids.push_back({slot, 1});
    connections.add(ids.back());
  }
  ids = shuffled(ids);
  std::size_t turn = 0;
  for (auto _ : state) {
    connections.set_owed(ids[turn], true);
    benchmark::ClobberMemory();
    connections.set_owed(ids[turn], false);
    if (++turn == ids.size()) turn = 0;
  }
}
BENCHMARK(BM_Owe)->ArgName("connections")->Arg(500)->Arg(19'000);

void BM_TakeFromSchedule(benchmark::State& state, loadgen::Arrivals arrivals) {
  loadgen::Schedule schedule(
      {.arrivals = arrivals, .rate = 1e5, .seed = 1, .start = 0, .end = net::kNever});
  for (auto _ : state) {
    benchmark::DoNotOptimize(schedule.next());
    schedule.take();
  }
}
BENCHMARK_CAPTURE(BM_TakeFromSchedule, uniform, loadgen::Arrivals::kUniform);
BENCHMARK_CAPTURE(BM_TakeFromSchedule, poisson, loadgen::Arrivals::kPoisson);

void BM_TakeTurn(benchmark::State& state) {
  loadgen::Turns turns;
  turns.make_room(500);
  for (std::uint32_t slot = 0; slot < 500; ++slot) turns.push(slot);
  for (auto _ : state) turns.push(turns.pop());
}
BENCHMARK(BM_TakeTurn);

void BM_CountInTenth(benchmark::State& state) {
  loadgen::TenthsClock clock;
  loadgen::Tenths tenths;
  clock.window(0, 10 * net::kSecond);
  net::Nanos t = 0;
  for (auto _ : state) {
    clock.record(tenths, t, 100'000);
    if ((t += 1'000) == 10 * net::kSecond) {
      t = 0;
      clock.window(0, 10 * net::kSecond);
    }
  }
  benchmark::DoNotOptimize(tenths);
}
BENCHMARK(BM_CountInTenth);

}  // namespace
