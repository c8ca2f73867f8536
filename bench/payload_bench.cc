// What the load generator's payload costs: a message is made when it is sent (a slice, no copy) and
// checked when its echo has come (one memcmp). Many connections matter because each reads the block
// at a place of its own: with few of them it stays in the caches, with many it does not.
//
// BM_Arrive is the floor: the copy that recv(2) makes of what has come into the buffer that all
// connections share. BM_ArriveAndVerify checks it there and then, with that buffer still in the
// cache, as loadgen does; the difference is what verifying costs.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "loadgen/payload.h"

namespace {

void shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"bytes", "connections"});
  for (const std::int64_t bytes : {64, 64 * 1024}) {
    for (const std::int64_t connections : {1, 500, 10'000}) benchmark->Args({bytes, connections});
  }
}

/// Connections that take their turns, each at its own position, as a closed loop drives them.
class Connections {
 public:
  explicit Connections(const benchmark::State& state)
      : payload_(1, static_cast<std::size_t>(state.range(0))),
        positions_(static_cast<std::size_t>(state.range(1))) {
    for (std::size_t i = 0; i < positions_.size(); ++i) {
      positions_[i] = static_cast<std::uint32_t>(payload_.start_of(i));
    }
  }

  std::size_t message_size() const { return payload_.message_size(); }

  /// The next connection's next message.
  net::Bytes next() {
    std::uint32_t& position = positions_[turn_];
    if (++turn_ == positions_.size()) turn_ = 0;
    const net::Bytes message = payload_.at(position, payload_.message_size());
    position = static_cast<std::uint32_t>(payload_.advance(position, message.size()));
    return message;
  }

 private:
  loadgen::Payload payload_;
  std::vector<std::uint32_t> positions_;
  std::size_t turn_ = 0;
};

void count_bytes(benchmark::State& state, const Connections& connections) {
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(connections.message_size()));
}

void BM_Make(benchmark::State& state) {
  Connections connections(state);
  for (auto _ : state) benchmark::DoNotOptimize(connections.next().data());
}
BENCHMARK(BM_Make)->Apply(shapes);

// The same connections a second time are the wire: equal bytes that stand elsewhere in memory.
void BM_Arrive(benchmark::State& state) {
  Connections wire(state);
  std::vector<std::byte> buffer(wire.message_size());
  for (auto _ : state) {
    std::memcpy(buffer.data(), wire.next().data(), buffer.size());
    benchmark::ClobberMemory();
  }
  count_bytes(state, wire);
}
BENCHMARK(BM_Arrive)->Apply(shapes);

void BM_ArriveAndVerify(benchmark::State& state) {
  Connections wire(state);
  Connections expected(state);
  std::vector<std::byte> buffer(wire.message_size());
  for (auto _ : state) {
    std::memcpy(buffer.data(), wire.next().data(), buffer.size());
    benchmark::ClobberMemory();
    if (std::memcmp(buffer.data(), expected.next().data(), buffer.size()) != 0) {
      throw std::runtime_error("a right message was called wrong");
    }
  }
  count_bytes(state, wire);
}
BENCHMARK(BM_ArriveAndVerify)->Apply(shapes);

// Once per run, before anything is measured.
void BM_MakeBlock(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(loadgen::Payload(1, 64).at(0, 64).data());
}
BENCHMARK(BM_MakeBlock)->Unit(benchmark::kMillisecond);

}  // namespace
