#include "loadgen/intervals.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace loadgen {
namespace {

Interval summarise(net::Nanos end, const Histogram& sum) {
  Interval interval{.end = end, .messages = sum.count(), .p50 = {}, .p99 = {}, .max = {}};
  interval.p50 = sum.supported_quantile(0.50);
  interval.p99 = sum.supported_quantile(0.99);
  if (sum.count() > 0) interval.max = sum.max();
  return interval;
}

}  // namespace

void IntervalLog::add(std::size_t worker, std::size_t index, net::Nanos end,
                      const Histogram& part) {
  const std::lock_guard lock(mutex_);
  Open& open = open_[index];
  if (!open.sum) open.sum = std::make_unique<Histogram>();
  open.sum->add(part);
  open.end = std::max(open.end, end);
  handed_in_[worker] = index + 1;
  close_complete();
}

void IntervalLog::leave(std::size_t worker) {
  const std::lock_guard lock(mutex_);
  handed_in_[worker] = std::numeric_limits<std::size_t>::max();
  close_complete();
}

void IntervalLog::close_complete() {
  const std::size_t complete = *std::ranges::min_element(handed_in_);
  for (auto it = open_.begin(); it != open_.end() && it->first < complete;) {
    Open& open = it->second;
    if (hand_on_) {
      to_hand_on_.push_back({.index = it->first, .end = open.end, .sum = std::move(open.sum)});
    } else {
      closed_[it->first] = summarise(open.end, *open.sum);
    }
    it = open_.erase(it);
  }
}

std::optional<Interval> IntervalLog::newest() {
  const std::lock_guard lock(mutex_);
  if (closed_.empty()) return std::nullopt;
  return closed_.rbegin()->second;
}

std::vector<IntervalLog::Closed> IntervalLog::take_closed() {
  const std::lock_guard lock(mutex_);
  return std::exchange(to_hand_on_, {});
}

std::vector<Interval> IntervalLog::all(net::Nanos length) {
  const std::lock_guard lock(mutex_);
  for (auto& [index, open] : open_) closed_[index] = summarise(open.end, *open.sum);
  open_.clear();
  std::vector<Interval> intervals;
  for (const auto& [index, interval] : closed_) {
    while (intervals.size() < index) {
      const auto number = static_cast<net::Nanos>(intervals.size() + 1);
      intervals.push_back({.end = number * length, .messages = 0, .p50 = {}, .p99 = {}, .max = {}});
    }
    intervals.push_back(interval);
  }
  return intervals;
}

}  // namespace loadgen
