#include "loadgen/outcome.h"

#include <cstdio>
#include <utility>

#include "cli/complain.h"
#include "cli/exit_code.h"
#include "loadgen/interval_csv.h"
#include "loadgen/output_file.h"
#include "loadgen/result_json.h"
#include "loadgen/run.h"
#include "loadgen/summary.h"
#include "net/backend.h"

namespace loadgen {
namespace {

/// Returns false where something could not be written; the rest is written all the same.
bool write_all(const char* program, const Options& options, const Result& result,
               const Verdict& verdict, nlohmann::ordered_json context) {
  bool written = true;
  if (!options.quiet) {
    std::FILE* to = options.json == "-" ? stderr : stdout;
    std::fputs(summary(result, verdict).c_str(), to);
    written = std::fflush(to) == 0;
    if (!written) cli::complain(program, "cannot write the summary");
  }
  const auto write = [&](const std::string& path, auto&& text) {
    if (path.empty()) return;
    try {
      write_output(path, text());
    } catch (const std::exception& failure) {
      cli::complain(program, failure.what());
      written = false;
    }
  };
  write(options.json, [&] { return to_json(result, verdict, std::move(context)).dump(2) + "\n"; });
  write(options.hdr, [&] { return result.hdr_log; });
  write(options.csv, [&] { return to_csv(result.intervals); });
  return written;
}

}  // namespace

void check_outputs(const Options& options) {
  for (const std::string& path : {options.json, options.hdr, options.csv}) {
    if (!path.empty()) check_output(path);
  }
}

int publish(const char* program, const Options& options, const Result& result,
            nlohmann::ordered_json context) {
  const Verdict verdict = judge(result);
  if (!write_all(program, options, result, verdict, std::move(context))) return cli::kFailed;
  if (result.signal != 0) return 128 + result.signal;
  if (result.slo && !result.slo->held) return cli::kDoesNotHold;
  const auto worst = options.strict ? Verdict::Status::kValid : Verdict::Status::kQuestionable;
  return verdict.status > worst ? cli::kDoesNotHold : cli::kOk;
}

Failure failure_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const net::BackendUnavailable& unavailable) {
    return {unavailable.what(), cli::kUnavailable};
  } catch (const SigningServer& refusal) {
    return {refusal.what(), cli::kDoesNotHold};
  } catch (const CrewFailed& elsewhere) {
    return {elsewhere.what(), elsewhere.status};
  } catch (const std::exception& failure) {
    return {failure.what(), cli::kFailed};
  }
}

}  // namespace loadgen
