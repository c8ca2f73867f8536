#include "loadgen/ranks.h"

#include <algorithm>
#include <utility>

namespace loadgen {
namespace {

void add(Result& total, const Result& own) {
  total.tally.add(own.tally);
  total.elapsed = std::max(total.elapsed, own.elapsed);
  total.client.time += own.client.time;
  total.client.elapsed = std::max(total.client.elapsed, own.client.elapsed);
  total.run_delay += own.run_delay;
  total.steal_fraction = std::max(total.steal_fraction, own.steal_fraction);
  if (!total.server) total.server = own.server;
}

}  // namespace

Result total_of(std::vector<Rank> ranks, const Options& asked) {
  const Result& first = ranks.front().own;
  Result total;
  total.options = asked;
  total.options.threads = asked.threads * ranks.size();
  total.backend = first.backend;
  total.uring_features = first.uring_features;
  total.started_at = first.started_at;
  total.signal = first.signal;
  for (const Rank& rank : ranks) {
    if (!rank.lost) add(total, rank.own);
  }
  total.ranks = std::move(ranks);
  return total;
}

}  // namespace loadgen
