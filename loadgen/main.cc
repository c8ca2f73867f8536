// loadgen: read the command line, run, print what was found, and say by the exit code whether it
// holds.

#include <csignal>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>

#include "cli/complain.h"
#include "cli/standard_streams.h"
#include "loadgen/context.h"
#include "loadgen/options.h"
#include "loadgen/outcome.h"
#include "loadgen/run.h"
#include "loadgen/self_test.h"
#include "loadgen/slo_run.h"
#include "net/open_files.h"

namespace loadgen {
namespace {

Result run_until_signalled(const Options& options, net::Signals& signals) {
  if (!options.slo) return run(options, signals);
  return find_highest_rate(options, signals, [&options](const std::string& text) {
    if (options.quiet) return;
    std::FILE* to = options.json == "-" ? stderr : stdout;
    std::fputs(text.c_str(), to);
    std::fflush(to);
  });
}

constexpr std::initializer_list<int> kEnding = {SIGINT, SIGTERM, SIGHUP};

/// Who ends a run that has just ended by itself shall get its result all the same: of each kind one
/// signal does nothing. The next one ends a program that waits for whoever reads it.
void overlook_one_of_each() {
  for (const int signal : kEnding) {
    struct sigaction once {};
    ::sigaction(signal, nullptr, &once);
    if (once.sa_handler == SIG_IGN) continue;
    once.sa_handler = [](int) {};
    once.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    ::sigaction(signal, &once, nullptr);
  }
}

Result run_and_heed_signals(const Options& options, nlohmann::ordered_json& context) {
  net::Signals signals(kEnding);
  overlook_one_of_each();
  check_outputs(options);
  net::raise_open_files();
  context = collect_context();
  return run_until_signalled(options, signals);
}

int measure(const Options& options) {
  nlohmann::ordered_json context;
  const Result result = run_and_heed_signals(options, context);
  return publish("loadgen", options, result, std::move(context));
}

int main(int argc, const char* const* argv) {
  try {
    const auto parsed = parse_options(argc, argv);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const Options& options = std::get<Options>(parsed);
    return options.self_test ? self_test(options, stdout) : measure(options);
  } catch (...) {
    const Failure failure = failure_of(std::current_exception());
    cli::complain("loadgen", failure.text);
    return failure.status;
  }
}

}  // namespace
}  // namespace loadgen

int main(int argc, char** argv) {
  cli::guard_standard_streams();
  return loadgen::main(argc, argv);
}
