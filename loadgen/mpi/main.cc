// loadgen-mpi: loadgen as each of the ranks of an MPI job. Every rank makes its part of one run;
// the first one speaks for all of them, and all end with the same status.

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <variant>

#include "cli/complain.h"
#include "cli/exit_code.h"
#include "cli/standard_streams.h"
#include "loadgen/context.h"
#include "loadgen/mpi/job.h"
#include "loadgen/mpi/post.h"
#include "loadgen/mpi/silence.h"
#include "loadgen/options.h"
#include "loadgen/outcome.h"
#include "loadgen/run.h"
#include "net/open_files.h"
#include "net/signals.h"

namespace loadgen::mpi {
namespace {

constexpr const char* kProgram = "loadgen-mpi";

std::string joined(int argc, const char* const* argv) {
  std::string text;
  for (int i = 1; i < argc; ++i) text += std::string(argv[i]) + '\n';
  return text;
}

/// What was said, without the name of who said it.
std::string without_name(const std::string& line) {
  const std::string name = std::string(kProgram) + ": ";
  return line.starts_with(name) ? line.substr(name.size()) : line;
}

/// Only the first rank says what is wrong with a command line; of another's it is told.
std::variant<Options, int> read_options(Job& job, int argc, const char* const* argv) {
  Silence silence(!job.leads());
  std::variant<Options, int> parsed = cli::kFailed;
  try {
    parsed = parse_options(argc, argv, job.part().of);
  } catch (const std::exception& failure) {
    cli::complain(kProgram, failure.what());
  }
  const int* status = std::get_if<int>(&parsed);
  job.introduce(joined(argc, argv), status != nullptr ? *status : cli::kOk,
                without_name(silence.end()));
  return parsed;
}

int measure(Job& job, net::Signals& signals, Options options) {
  if (job.leads()) {
    check_outputs(options);
  } else {
    options.quiet = true;
  }
  net::raise_open_files();
  nlohmann::ordered_json context = collect_context();
  job.begin(options);
  const Result result = run(options, signals, job);
  return job.leads() ? publish(kProgram, options, result, std::move(context)) : cli::kOk;
}

int run_rank(Job& job, net::Signals& signals, int argc, const char* const* argv) {
  try {
    const auto parsed = read_options(job, argc, argv);
    if (const int* status = std::get_if<int>(&parsed)) return *status;
    return measure(job, signals, std::get<Options>(parsed));
  } catch (...) {
    const Failure failure = failure_of(std::current_exception());
    job.fail(failure.status, failure.text);
    if (job.speaks() && !failure.text.empty()) cli::complain(kProgram, failure.text);
    return failure.status;
  }
}

int main(int argc, char** argv) {
  net::Signals signals({SIGINT, SIGTERM, SIGHUP});  // before MPI has threads that would take them
  Post post(argc, argv);
  Job job(post);
  const int status = job.end(run_rank(job, signals, argc, argv));
  std::fflush(stdout);
  if (!job.is_orderly()) ::_exit(status);
  post.end(status);
  return status;
}

}  // namespace
}  // namespace loadgen::mpi

int main(int argc, char** argv) {
  cli::guard_standard_streams();
  try {
    return loadgen::mpi::main(argc, argv);
  } catch (const std::exception& failure) {
    cli::complain("loadgen-mpi", failure.what());
    return cli::kFailed;
  }
}
