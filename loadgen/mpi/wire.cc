#include "loadgen/mpi/wire.h"

#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "loadgen/hdr_codec.h"

namespace loadgen::mpi {
namespace {

template <class Archive, class T>
void members(Archive& archive, T& value);

/// Puts values into an array, and those that have members as arrays of their own.
class Writer {
 public:
  template <class... T>
  void operator()(const T&... values) {
    (json_.push_back(packed(values)), ...);
  }
  Json take() { return std::move(json_); }

 private:
  template <class T>
  static Json packed(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      return static_cast<int>(value);
    } else if constexpr (std::is_constructible_v<Json, T>) {
      return value;
    } else {
      Writer inner;
      members(inner, value);
      return inner.take();
    }
  }
  static Json packed(const Histogram& value) { return to_wire(value); }
  template <class T>
  static Json packed(const std::optional<T>& value) {
    return value ? packed(*value) : Json();
  }

  Json json_ = Json::array();
};

/// Takes them out again, in the same order.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}

  template <class... T>
  void operator()(T&... values) {
    if (json_.size() != sizeof...(values)) throw std::runtime_error("a rank told too much or less");
    (unpack(json_.at(next_++), values), ...);
  }

 private:
  template <class T>
  static void unpack(const Json& json, T& value) {
    if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(json.get<int>());
    } else if constexpr (std::is_constructible_v<Json, T>) {
      json.get_to(value);
    } else {
      Reader inner(json);
      members(inner, value);
    }
  }
  static void unpack(const Json& json, Histogram& value) { value = histogram_from_wire(json); }
  template <class T>
  static void unpack(const Json& json, std::optional<T>& value) {
    if (json.is_null()) {
      value.reset();
    } else {
      unpack(json, value.emplace());
    }
  }

  const Json& json_;
  std::size_t next_ = 0;
};

// Each of these names all members of its type, or does not compile: one that is added there has to
// be told here too.

template <class Archive, class T>
void tally(Archive& archive, T& value) {
  auto& [connections_opened, connections_failed, connections_lost, connections_remade,
         answered_in_window, bytes_sent, bytes_received, due, sent, unsent, unanswered,
         lost_unanswered, spoiled, corrupt, tcp, errors, latency, service, send_lag,
         replaced_in_window, connect, stamp_error, ended, connect_errno, tenths, turnaround,
         held_up, parked, busy, stalled, longest_stall] = value;
  archive(connections_opened, connections_failed, connections_lost, connections_remade,
          answered_in_window, bytes_sent, bytes_received, due, sent, unsent, unanswered,
          lost_unanswered, spoiled, corrupt, tcp, errors, latency, service, send_lag,
          replaced_in_window, connect, stamp_error, ended, connect_errno, tenths, turnaround,
          held_up, parked, busy, stalled, longest_stall);
}

template <class Archive, class T>
void tcp_sum(Archive& archive, T& value) {
  auto& [connections, retransmits, segments_out, segments_in, with_segments, with_rtt, rtt_sum,
         rtt_min, rtt_max] = value;
  archive(connections, retransmits, segments_out, segments_in, with_segments, with_rtt, rtt_sum,
          rtt_min, rtt_max);
}

template <class Archive, class T>
void tenths_of(Archive& archive, T& value) {
  auto& [parts] = value;
  auto& [a, b, c, d, e, f, g, h, i, j] = parts;
  archive(a, b, c, d, e, f, g, h, i, j);
}

template <class Archive, class T>
void part_of_tenths(Archive& archive, T& value) {
  auto& [messages, latency] = value;
  archive(messages, latency);
}

template <class Archive, class T>
void cpu_use(Archive& archive, T& value) {
  auto& [time, elapsed] = value;
  archive(time, elapsed);
}

template <class Archive, class T>
void server_use(Archive& archive, T& value) {
  auto& [pid, command, threads, cpu, helpers] = value;
  archive(pid, command, threads, cpu, helpers);
}

template <class Archive, class T>
void result(Archive& archive, T& value) {
  auto& [options, backend, uring_features, started_at, slo, signal, counted, elapsed, intervals,
         hdr_log, client, server, steal_fraction, run_delay, usable_cpus, only_cpu, ranks] = value;
  archive(backend, uring_features, signal, counted, elapsed, client, server, steal_fraction,
          run_delay, usable_cpus, only_cpu);
}

template <class Archive, class T>
void members(Archive& archive, T& value) {
  using Type = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Type, Result>) result(archive, value);
  if constexpr (std::is_same_v<Type, Tally>) tally(archive, value);
  if constexpr (std::is_same_v<Type, TcpSum>) tcp_sum(archive, value);
  if constexpr (std::is_same_v<Type, Tenths>) tenths_of(archive, value);
  if constexpr (std::is_same_v<Type, Tenths::Part>) part_of_tenths(archive, value);
  if constexpr (std::is_same_v<Type, CpuUse>) cpu_use(archive, value);
  if constexpr (std::is_same_v<Type, ServerUse>) server_use(archive, value);
}

}  // namespace

Json to_wire(const Histogram& histogram) {
  const Histogram::Exact exact = histogram.exact();
  return {Json::binary(encode_v2(histogram)),
          exact.min,
          exact.max,
          exact.sum_high,
          exact.sum_low,
          exact.saturated};
}

Histogram histogram_from_wire(const Json& json) {
  Histogram histogram = decode_v2(json.at(0).get_binary());
  histogram.set_exact({.min = json.at(1),
                       .max = json.at(2),
                       .sum_high = json.at(3),
                       .sum_low = json.at(4),
                       .saturated = json.at(5)});
  return histogram;
}

Json to_wire(const Result& own) {
  Writer writer;
  result(writer, own);
  return writer.take();
}

void from_wire(const Json& json, Result& own) {
  Reader reader(json);
  result(reader, own);
}

}  // namespace loadgen::mpi
