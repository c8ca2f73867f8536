// loadgen: read the command line, run, print what was found, and say by the exit code whether it
// holds.

#include <csignal>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <string>
#include <variant>

#include "cli/complain.h"
#include "cli/exit_code.h"
#include "cli/standard_streams.h"
#include "loadgen/context.h"
#include "loadgen/interval_csv.h"
#include "loadgen/options.h"
#include "loadgen/output_file.h"
#include "loadgen/result_json.h"
#include "loadgen/run.h"
#include "loadgen/self_test.h"
#include "loadgen/slo_run.h"
#include "loadgen/summary.h"
#include "loadgen/verdict.h"
#include "net/open_files.h"

namespace loadgen {
namespace {

void complain(const std::string& text) { cli::complain("loadgen", text); }

/// Returns false where something could not be written; the rest is written all the same.
bool publish(const Options& options, const Result& result, const Verdict& verdict,
             nlohmann::ordered_json context) {
  bool written = true;
  if (!options.quiet) {
    std::FILE* to = options.json == "-" ? stderr : stdout;
    std::fputs(summary(result, verdict).c_str(), to);
    written = std::fflush(to) == 0;
    if (!written) complain("cannot write the summary");
  }
  const auto write = [&](const std::string& path, auto&& text) {
    if (path.empty()) return;
    try {
      write_output(path, text());
    } catch (const std::exception& failure) {
      complain(failure.what());
      written = false;
    }
  };
  write(options.json, [&] { return to_json(result, verdict, std::move(context)).dump(2) + "\n"; });
  write(options.hdr, [&] { return result.hdr_log; });
  write(options.csv, [&] { return to_csv(result.intervals); });
  return written;
}

/// Throws where an output cannot be written, before anything was measured in vain.
void check_outputs(const Options& options) {
  for (const std::string& path : {options.json, options.hdr, options.csv}) {
    if (!path.empty()) check_output(path);
  }
}

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
  const Verdict verdict = judge(result);
  if (!publish(options, result, verdict, std::move(context))) return cli::kFailed;
  if (result.signal != 0) return 128 + result.signal;
  if (result.slo && !result.slo->held) return cli::kDoesNotHold;
  const auto worst = options.strict ? Verdict::Status::kValid : Verdict::Status::kQuestionable;
  return verdict.status > worst ? cli::kDoesNotHold : cli::kOk;
}

int main(int argc, const char* const* argv) {
  try {
    const auto parsed = parse_options(argc, argv);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const Options& options = std::get<Options>(parsed);
    return options.self_test ? self_test(options, stdout) : measure(options);
  } catch (const net::BackendUnavailable& unavailable) {
    complain(unavailable.what());
    return cli::kUnavailable;
  } catch (const SigningServer& refusal) {
    complain(refusal.what());
    return cli::kDoesNotHold;
  } catch (const std::exception& failure) {
    complain(failure.what());
    return cli::kFailed;
  }
}

}  // namespace
}  // namespace loadgen

int main(int argc, char** argv) {
  cli::guard_standard_streams();
  return loadgen::main(argc, argv);
}
