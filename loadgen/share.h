// How a run is divided: over the processes that make it together, and over the threads of each. A
// thread does the same whichever process it belongs to, so that 4 processes of 2 threads and one of
// 8 make the same load.
#pragma once

#include <cstddef>
#include <cstdint>

namespace loadgen {

/// Which of the processes that make a run together this one is.
struct Part {
  std::size_t index = 0;
  std::size_t of = 1;
  std::size_t index_here = 0;  // among those on this host
  std::size_t of_here = 1;
};

/// The part of the whole that falls to one worker.
struct Share {
  std::size_t worker = 0;            // of this process
  std::size_t number = 0;            // of all
  std::size_t workers = 1;           // all there are
  std::size_t first_connection = 0;  // of those numbered from 0
  std::size_t connections = 0;
};

/// What falls to the first `upto` of `of` equal takers. The parts that follow from it differ by one
/// at most and add up to `whole`.
constexpr std::uint64_t portion(std::uint64_t whole, std::uint64_t upto, std::uint64_t of) {
  __extension__ typedef unsigned __int128 Wide;
  return static_cast<std::uint64_t>(Wide{whole} * upto / of);
}

/// Requires worker < threads, and a connection for each thread of all processes.
constexpr Share share_of(const Part& part, std::size_t worker, std::size_t threads,
                         std::size_t connections) {
  const std::size_t number = part.index * threads + worker;
  const std::size_t workers = part.of * threads;
  const std::size_t first = portion(connections, number, workers);
  return {.worker = worker,
          .number = number,
          .workers = workers,
          .first_connection = first,
          .connections = portion(connections, number + 1, workers) - first};
}

/// How many connections the whole process has.
constexpr std::size_t connections_of(const Part& part, std::size_t threads,
                                     std::size_t connections) {
  const Share last = share_of(part, threads - 1, threads, connections);
  const std::size_t first = share_of(part, 0, threads, connections).first_connection;
  return last.first_connection + last.connections - first;
}

}  // namespace loadgen
