// What loadgen was asked to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "loadgen/schedule.h"
#include "loadgen/slo.h"
#include "net/address.h"
#include "net/backend.h"
#include "net/busy_poll.h"

namespace loadgen {

struct Options {
  net::Address target;
  std::size_t connections = 1;  // over all threads
  std::size_t threads = 1;
  std::size_t message_size = 64;
  std::size_t pipeline = 1;  // messages outstanding on a connection; in an open loop at most
  std::optional<std::uint64_t> rate;       // open loop: messages per second over all connections
  Arrivals arrivals = Arrivals::kUniform;  // of an open loop
  std::optional<Slo> slo;                  // find the highest rate that holds it
  std::optional<std::uint64_t> churn;      // a connection is replaced after so many messages
  net::Nanos duration = 10 * net::kSecond;
  std::optional<std::uint64_t> messages;  // measure so many, instead of for a duration
  net::Nanos warmup = net::kSecond;
  net::Nanos timeout = 5 * net::kSecond;  // for connecting, and for what is outstanding at the end
  net::Nanos interval = net::kSecond;
  bool verify = true;
  std::uint64_t seed = 1;

  std::optional<net::Backend> backend;  // nullopt: auto
  net::BusyPoll busy_poll = net::BusyPoll::automatic();
  std::vector<int> cpus;  // thread i runs on cpus[i % size]; empty: anywhere

  std::string json;  // file, "-" for stdout, empty for none
  std::string hdr;   // files, empty for none
  std::string csv;
  bool quiet = false;
  bool strict = false;     // a questionable run does not hold either
  bool self_test = false;  // of the others only `backend` counts then
};

/// The options, or the exit code to end with after --help or a usage error. `ranks`: the program is
/// loadgen-mpi, and so many of it make the run together.
std::variant<Options, int> parse_options(int argc, const char* const* argv,
                                         std::optional<std::size_t> ranks = std::nullopt);

}  // namespace loadgen
