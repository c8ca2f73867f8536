// What the histogram costs: per message (record), once per interval (quantile, clear) and once per
// thread at the end of a run (add). BM_ReadTable is the loop without the histogram: the floor.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "loadgen/hdr_codec.h"
#include "loadgen/histogram.h"

namespace {

// Latencies as a loaded echo server gives them: median 100 µs, p99 about 1 ms. A power of two, so
// that the index wraps with a mask, and small enough (32 KiB) to leave the caches to the counts.
constexpr std::size_t kTableSize = 4096;

const std::vector<std::int64_t>& latencies() {
  static const std::vector<std::int64_t> kTable = [] {
    std::mt19937_64 random(1);
    std::lognormal_distribution<double> latency(std::log(100'000.0), 1.0);
    std::vector<std::int64_t> values(kTableSize);
    for (auto& value : values) value = static_cast<std::int64_t>(latency(random));
    return values;
  }();
  return kTable;
}

loadgen::Histogram recorded() {
  loadgen::Histogram histogram;
  for (const std::int64_t ns : latencies()) histogram.record(ns);
  return histogram;
}

void BM_ReadTable(benchmark::State& state) {
  const auto& table = latencies();
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(table[i++ & (kTableSize - 1)]);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_ReadTable);

void BM_Record(benchmark::State& state) {
  const auto& table = latencies();
  loadgen::Histogram histogram;
  std::size_t i = 0;
  for (auto _ : state) histogram.record(table[i++ & (kTableSize - 1)]);
  benchmark::DoNotOptimize(histogram.count());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Record);

// Always the same bucket: each increment waits for the one before.
void BM_RecordSameValue(benchmark::State& state) {
  loadgen::Histogram histogram;
  std::int64_t ns = 100'000;
  for (auto _ : state) {
    benchmark::DoNotOptimize(ns);
    histogram.record(ns);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RecordSameValue);

// Each value a new maximum: the slow path of record(), the worst that latencies can do.
void BM_RecordRising(benchmark::State& state) {
  loadgen::Histogram histogram;
  std::int64_t ns = 0;
  for (auto _ : state) histogram.record(++ns);
  benchmark::DoNotOptimize(histogram.count());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RecordRising);

void BM_Add(benchmark::State& state) {
  const loadgen::Histogram one = recorded();
  loadgen::Histogram sum;
  for (auto _ : state) {
    sum.add(one);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Add);

void BM_AddAndClear(benchmark::State& state) {
  const loadgen::Histogram one = recorded();
  loadgen::Histogram histogram;
  for (auto _ : state) {
    histogram.add(one);
    histogram.clear();
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_AddAndClear);

void BM_Quantile(benchmark::State& state) {
  const loadgen::Histogram histogram = recorded();
  for (auto _ : state) benchmark::DoNotOptimize(histogram.quantile(0.99));
}
BENCHMARK(BM_Quantile);

void BM_Encode(benchmark::State& state) {
  const loadgen::Histogram histogram = recorded();
  for (auto _ : state) {
    benchmark::DoNotOptimize(loadgen::encode_v2_compressed_base64(histogram));
  }
}
BENCHMARK(BM_Encode);

}  // namespace
