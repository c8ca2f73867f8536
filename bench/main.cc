// What all benchmarks begin with: descriptors enough for 500 connections with both their ends in
// one process, and the machine and the build in the context block of the JSON.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/exit_code.h"
#include "cli/version.h"
#include "loadgen/context.h"
#include "net/backend.h"
#include "net/open_files.h"

namespace bench {
namespace {

// Google Benchmark's context is flat and of strings; it counts CPUs and takes the load average
// itself.
void add_context() {
  const nlohmann::ordered_json context = loadgen::collect_context();
  for (const char* key : {"kernel", "cpu_model", "hypervisor", "governor", "mitigations",
                          "compiler", "build_type", "compiler_flags"}) {
    const auto found = context.find(key);
    if (found != context.end() && found->is_string()) {
      benchmark::AddCustomContext(key, found->get<std::string>());
    }
  }
  benchmark::AddCustomContext("liburing", std::string(net::liburing_version()));
  benchmark::AddCustomContext("git", std::string(cli::git_revision()));
}

}  // namespace
}  // namespace bench

// A benchmark that cannot go on throws, and so fails the program, as a test would.
int main(int argc, char** argv) {
  try {
    net::raise_open_files();
    bench::add_context();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return cli::kUsage;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return cli::kFailed;
  }
}
