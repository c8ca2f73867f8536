#include "loadgen/options.h"

#include <fmt/format.h>

#include <array>
#include <stdexcept>
#include <string_view>

#include "cli/command_line.h"
#include "cli/complain.h"
#include "cli/exit_code.h"
#include "cli/shared_options.h"
#include "cli/units.h"

namespace loadgen {
namespace {

using net::kSecond;

constexpr net::Nanos kLongest = 24 * 3600 * kSecond;
constexpr const char* kFooter =
    "Examples:\n"
    "  loadgen -c 500 -d 30s                500 connections to 127.0.0.1:8888\n"
    "  loadgen -c 50 -p 16 [::1]:7          16 messages outstanding on each\n"
    "  loadgen -c 50 -p 16 --rate=10k       10,000 messages a second, on time\n"
    "  loadgen -c 50 --slo='p99<2ms'        the highest rate that holds it\n"
    "  loadgen --self-test                  does it notice what it must, on this machine?\n"
    "  loadgen -c 1 -n 1000 --json=- -q     the result as JSON on stdout\n"
    "\n"
    "Exit codes: 0 fine, 1 could not run or finish, 2 usage, 3 the result does not hold,\n"
    "4 the backend is not available here, 130 or 143 interrupted.";

constexpr const char* kFooterOfRanks =
    "Examples:\n"
    "  mpirun -n 8 --hostfile hosts --bind-to none loadgen-mpi -c 5000 -r 200k server:8888\n"
    "  srun -N 4 -n 8 loadgen-mpi -c 5000 -d 30s --json=result.json server:8888\n"
    "\n"
    "Connections, rate and messages are those of all ranks together, threads those of each.\n"
    "Exit codes: 0 fine, 1 could not run or finish, 2 usage, 3 the result does not hold,\n"
    "4 the backend is not available on a host, 130 or 143 interrupted.";

auto count(std::size_t& to, std::int64_t most) {
  return [&to, most](std::string_view text) {
    to = static_cast<std::size_t>(cli::parse_count(text, 1, most));
  };
}

auto duration(net::Nanos& to, net::Nanos least) {
  return [&to, least](std::string_view text) { to = cli::parse_duration(text, least, kLongest); };
}

/// Which of the options with a default were given.
struct Given {
  bool duration = false;
  bool warmup = false;
  bool arrivals = false;
};

constexpr std::int64_t kMostConnections = 1'000'000;  // of a process

void load(cli::CommandLine& line, Options& options, Given& given, std::size_t ranks) {
  line.group("Load");
  line.option("-c,--connections", "N", "connections, over all threads (1)",
              count(options.connections, kMostConnections * static_cast<std::int64_t>(ranks)));
  line.option("-d,--duration", "TIME", "how long to measure (10s)", [&](auto text) {
    options.duration = cli::parse_duration(text, net::kMillisecond, kLongest);
    given.duration = true;
  });
  line.option("-n,--messages", "N", "measure this many messages instead", [&](auto text) {
    options.messages =
        static_cast<std::uint64_t>(cli::parse_count(text, 1, std::int64_t{1'000'000'000'000}));
  });
  line.option("-s,--size", "BYTES", "bytes in a message, up to 64MiB (64)", [&](auto text) {
    options.message_size =
        static_cast<std::size_t>(cli::parse_bytes(text, 1, std::int64_t{64} << 20));
  });
  line.option("-p,--pipeline", "N", "messages outstanding on a connection (1)",
              count(options.pipeline, 65'536));
  line.option("-r,--rate", "N",
              "open loop: send N messages per second over all connections, whatever comes back; "
              "--pipeline bounds what is outstanding, the rest waits (off: a connection sends when "
              "a reply has come)",
              [&](auto text) {
                options.rate = static_cast<std::uint64_t>(cli::parse_count(text, 1, 100'000'000));
              });
  line.option("--arrivals", "uniform|poisson", "how they are spaced (uniform)", [&](auto text) {
    if (text != "uniform" && text != "poisson") throw cli::BadValue("uniform or poisson");
    options.arrivals = text == "uniform" ? Arrivals::kUniform : Arrivals::kPoisson;
    given.arrivals = true;
  });
  line.option("--churn", "N", "replace a connection after this many messages", [&](auto text) {
    options.churn =
        static_cast<std::uint64_t>(cli::parse_count(text, 1, std::int64_t{1'000'000'000'000}));
  });
  line.option("-w,--warmup", "TIME", "load before the measurement (1s)", [&](auto text) {
    options.warmup = cli::parse_duration(text, 0, kLongest);
    given.warmup = true;
  });
  line.option("--timeout", "TIME",
              "how long to wait for connections, and at the end for what is outstanding (5s)",
              duration(options.timeout, net::kMillisecond));
  line.option("--verify", "on|off", "compare every byte that comes back (on)", [&](auto text) {
    if (text != "on" && text != "off") throw cli::BadValue("on or off");
    options.verify = text == "on";
  });
  line.option("--slo", "p99<TIME",
              "find the highest rate that holds this limit on a percentile, beginning at --rate "
              "(1k), by repeated slices of --duration (1s) after --warmup (300ms)",
              [&](auto text) { options.slo = parse_slo(text); });
  line.option("--seed", "N", "of the payload and of poisson arrivals (1)", [&](auto text) {
    options.seed = static_cast<std::uint64_t>(cli::parse_count(text, 0, std::int64_t{1} << 53));
  });
}

constexpr std::array kBackends{net::Backend::kEpoll, net::Backend::kUring};

void engine(cli::CommandLine& line, Options& options) {
  line.group("Engine");
  line.option("-t,--threads", "N", "worker threads, each with its own connections (1)",
              count(options.threads, 1024));
  line.option("--backend", "epoll|io_uring|auto",
              "how it asks the kernel; auto: io_uring where it works here, else epoll (auto)",
              [&](auto text) { options.backend = cli::parse_backend(text, kBackends); });
  line.option("--busy-poll", "auto|off|always|TIME",
              "how long to spin before sleeping; auto: always, where the threads leave a CPU to "
              "others (auto)",
              [&](auto text) { options.busy_poll = cli::parse_busy_poll(text); });
  line.option("--cpu", "LIST", "run thread 1, 2 ... on these CPUs, such as 1 or 0,2-3",
              [&](auto text) { options.cpus = cli::parse_cpu_list(text); });
}

std::string parse_file(std::string_view text) {
  if (text.empty() || text == "-") throw cli::BadValue("a file name");
  return std::string(text);
}

void output(cli::CommandLine& line, Options& options) {
  line.group("Output");
  line.option("--interval", "TIME", "length of the intervals in the result (1s)",
              duration(options.interval, 10 * net::kMillisecond));
  line.option("--json", "FILE|-", "write the result (results/schema.json)", [&](auto text) {
    if (text.empty()) throw cli::BadValue("a file name, or - for standard output");
    options.json = std::string(text);
  });
  line.option("--hdr", "FILE",
              "write the samples by interval, for HdrHistogram's viewers (log format 1.3)",
              [&](auto text) { options.hdr = parse_file(text); });
  line.option("--csv", "FILE", "write the intervals as a table",
              [&](auto text) { options.csv = parse_file(text); });
  line.flag("--strict", "end with exit code 3 after a questionable run too",
            [&] { options.strict = true; });
  line.flag("-q,--quiet", "print no live line and no summary", [&] { options.quiet = true; });
}

net::Address parse_target(std::string_view text) {
  try {
    return net::Address::parse(text, cli::kDefaultPort);
  } catch (const std::invalid_argument& error) {
    throw cli::BadValue(error.what());
  }
}

/// What to complain of where one output would overwrite another.
std::optional<std::string> same_file(const Options& options) {
  const auto same = [](const std::string& a, const std::string& b) { return !a.empty() && a == b; };
  if (!same(options.json, options.hdr) && !same(options.json, options.csv) &&
      !same(options.hdr, options.csv)) {
    return std::nullopt;
  }
  return "--json, --hdr and --csv exclude each other as to the file: each needs one of its own";
}

/// Whether the line has no option that a self-test would not heed.
bool self_test_alone(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--backend") {
      ++i;
    } else if (argument != "--self-test" && !argument.starts_with("--backend=")) {
      return false;
    }
  }
  return true;
}

/// What a single process can do and ranks cannot: not offered to them, but refused with a reason.
constexpr std::array kForOneOnly{"--self-test", "--slo", "--hdr"};

std::optional<std::string> for_one_only(const Options& options) {
  if (options.self_test) return "--self-test: is of one process: run loadgen on each host";
  if (options.slo) return "--slo: is of one process: give --rate instead, and search by hand";
  if (!options.hdr.empty()) return "--hdr: is of one process: --json has the merged histogram";
  return std::nullopt;
}

std::string too_few_connections(const Options& options, std::size_t ranks) {
  if (ranks == 1) {
    return fmt::format("--threads: {} is not allowed: at most one thread a connection ({})",
                       options.threads, options.connections);
  }
  return fmt::format(
      "--connections: {} is not allowed: {} ranks with {} threads each need one a thread",
      options.connections, ranks, options.threads);
}

}  // namespace

std::variant<Options, int> parse_options(int argc, const char* const* argv,
                                         std::optional<std::size_t> of_ranks) {
  const char* const program = of_ranks ? "loadgen-mpi" : "loadgen";
  const std::size_t ranks = of_ranks.value_or(1);
  const auto complain = [program](const std::string& text) {
    cli::complain(program, text);
    return cli::kUsage;
  };
  Options options;
  Given given;
  std::optional<net::Address> target;

  cli::CommandLine line(program,
                        of_ranks ? "Loads a TCP echo server from all ranks of an MPI job, as one."
                                 : "Loads a TCP echo server and measures throughput and latency.");
  line.positional("HOST:PORT", "the server (127.0.0.1:8888)", 1,
                  [&](auto text) { target = parse_target(text); });
  load(line, options, given, ranks);
  engine(line, options);
  output(line, options);
  line.group("Trust");
  line.flag("--self-test", "measure servers with known faults; see whether they are noticed",
            [&] { options.self_test = true; });
  if (of_ranks) {
    for (const char* name : kForOneOnly) line.hide(name);
  }
  line.footer(of_ranks ? kFooterOfRanks : kFooter);
  if (const auto code = line.parse(argc, argv)) return *code;

  const auto not_for_ranks = of_ranks ? for_one_only(options) : std::nullopt;
  if (not_for_ranks) return complain(*not_for_ranks);
  if (given.duration && options.messages) {
    return complain("--messages and --duration exclude each other: one of them ends the run");
  }
  if (given.arrivals && !options.rate && !options.slo) {
    return complain("--arrivals needs --rate: without it a connection sends when a reply has come");
  }
  if (options.slo) {
    if (options.messages) return complain("--messages and --slo exclude each other");
    if (!options.hdr.empty() || !options.csv.empty()) {
      return complain("--slo makes many runs: --hdr and --csv are of one");
    }
    if (!given.duration) options.duration = kSecond;
    if (!given.warmup) options.warmup = 300 * net::kMillisecond;
  }
  if (options.threads * ranks > options.connections) {
    return complain(too_few_connections(options, ranks));
  }
  if (options.self_test && !self_test_alone(argc, argv)) {
    return complain("--self-test: only --backend can go with it");
  }
  if (const auto twice = same_file(options)) return complain(*twice);
  options.target = target ? *target : parse_target("127.0.0.1");
  return options;
}

}  // namespace loadgen
