// The context of this machine against what other interfaces say of it, and that of made-up machines
// that lack everything, or say odd things.
#include "loadgen/context.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>

namespace {

using loadgen::collect_context;
using Json = nlohmann::ordered_json;

/// A directory that stands for the root of a machine, removed at the end.
class MadeUpMachine {
 public:
  MadeUpMachine() {
    std::string path = (std::filesystem::temp_directory_path() / "context_testXXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) std::abort();
    root_ = path;
  }
  ~MadeUpMachine() { std::filesystem::remove_all(root_); }
  MadeUpMachine(const MadeUpMachine&) = delete;
  MadeUpMachine& operator=(const MadeUpMachine&) = delete;

  MadeUpMachine& file(const std::string& path, const std::string& text) {
    const auto place = std::filesystem::path(root_ + path);
    std::filesystem::create_directories(place.parent_path());
    std::ofstream(place, std::ios::binary) << text;
    return *this;
  }
  Json context() const { return collect_context(root_); }

 private:
  std::string root_;
};

std::set<std::string> keys_of(const Json& object) {
  std::set<std::string> keys;
  for (const auto& item : object.items()) keys.insert(item.key());
  return keys;
}

TEST(Context, HasTheFieldsOfTheResult) {
  const std::set<std::string> expected = {
      "kernel",      "cpu_model",   "cpus",           "cpu_affinity",
      "governor",    "mitigations", "hypervisor",     "memory_bytes",
      "clocksource", "loadavg",     "nofile_limit",   "sysctls",
      "compiler",    "build_type",  "compiler_flags", "tcp_congestion_control",
      "turbo",       "smt",         "idle_driver",    "kernel_build",
      "architecture"};
  EXPECT_EQ(keys_of(collect_context()), expected);
  EXPECT_EQ(keys_of(MadeUpMachine().context()), expected);
}

TEST(Context, AgreesWithTheSystemCalls) {
  const Json context = collect_context();
  utsname name{};
  ASSERT_EQ(::uname(&name), 0);
  EXPECT_EQ(context["kernel"], name.release);
  EXPECT_EQ(context["kernel_build"], name.version);
  EXPECT_EQ(context["architecture"], name.machine);
  EXPECT_EQ(context["cpus"], ::get_nprocs());
  struct sysinfo memory {};
  ASSERT_EQ(::sysinfo(&memory), 0);
  EXPECT_EQ(context["memory_bytes"], memory.totalram * memory.mem_unit);
  EXPECT_EQ(context["loadavg"].size(), 3u);
}

TEST(Context, HasTheAffinityOfTheCallingThread) {
  const Json usable = collect_context()["cpu_affinity"];
  cpu_set_t set;
  ASSERT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  EXPECT_EQ(usable.size(), static_cast<std::size_t>(CPU_COUNT(&set)));
  Json pinned;
  const int last = usable.back();
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(last), &one);
    ::sched_setaffinity(0, sizeof one, &one);
    pinned = collect_context()["cpu_affinity"];
  }).join();
  EXPECT_EQ(pinned, Json::array({last}));
}

TEST(Context, HasTheLimitOfTheMoment) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit lower = before;
  lower.rlim_cur = 77;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
  EXPECT_EQ(collect_context()["nofile_limit"], 77);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(Context, ReadsTheSysctlsOfThisMachine) {
  const Json context = collect_context();
  int somaxconn = -1;
  std::ifstream("/proc/sys/net/core/somaxconn") >> somaxconn;
  EXPECT_EQ(context["sysctls"]["net.core.somaxconn"], somaxconn);
  std::string congestion_control;
  std::ifstream("/proc/sys/net/ipv4/tcp_congestion_control") >> congestion_control;
  EXPECT_EQ(context["tcp_congestion_control"], congestion_control);
}

TEST(Context, CanAlwaysBeWritten) {
  EXPECT_NO_THROW(collect_context().dump());
  EXPECT_NO_THROW(MadeUpMachine().file("/proc/cpuinfo", "model name: \xff\xfe").context().dump());
}

TEST(Context, IsNullWhereTheMachineSaysNothing) {
  const Json context = MadeUpMachine().context();
  for (const char* key : {"cpu_model", "governor", "turbo", "smt", "idle_driver", "mitigations",
                          "clocksource", "tcp_congestion_control"}) {
    EXPECT_TRUE(context[key].is_null()) << key << ": " << context[key];
  }
  EXPECT_TRUE(context["sysctls"].contains("kernel.io_uring_disabled"));
  for (const auto& item : context["sysctls"].items()) {
    EXPECT_TRUE(item.value().is_null()) << item.key();
  }
}

TEST(Context, IsNullWhereAFileIsNone) {
  MadeUpMachine machine;
  machine.file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor/below", "x");
  machine.file("/proc/cpuinfo/below", "x");
  machine.file("/proc/sys/net/core/somaxconn", "\n");
  EXPECT_TRUE(machine.context()["governor"].is_null());
  EXPECT_TRUE(machine.context()["cpu_model"].is_null());
  EXPECT_TRUE(machine.context()["sysctls"]["net.core.somaxconn"].is_null());
}

TEST(Context, ReadsWhatAMachineSays) {
  MadeUpMachine machine;
  const std::string cpus = "/sys/devices/system/cpu";
  machine.file(cpus + "/cpu0/cpufreq/scaling_governor", "performance\n");
  machine.file(cpus + "/smt/active", "1\n");
  machine.file(cpus + "/intel_pstate/no_turbo", "1\n");
  machine.file(cpus + "/cpuidle/current_driver", "haltpoll\n");
  machine.file(cpus + "/vulnerabilities/mds", "Not affected\n");
  machine.file(cpus + "/vulnerabilities/retbleed", "Mitigation: untrained return thunk; SMT off\n");
  machine.file("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
  machine.file("/sys/hypervisor/type", "xen\n");
  machine.file("/proc/cpuinfo", "processor\t: 0\nmodel name\t: A CPU\n\nmodel name\t: Another\n");
  machine.file("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t33554432\n");
  machine.file("/proc/sys/net/ipv4/tcp_congestion_control", "bbr\n");
  machine.file("/proc/sys/kernel/io_uring_disabled", "2\n");
  const Json context = machine.context();
  EXPECT_EQ(context["governor"], "performance");
  EXPECT_EQ(context["smt"], true);
  EXPECT_EQ(context["turbo"], false);
  EXPECT_EQ(context["idle_driver"], "haltpoll");
  EXPECT_EQ(context["mitigations"], Json::parse(R"({"mds": "Not affected",
      "retbleed": "Mitigation: untrained return thunk; SMT off"})"));
  EXPECT_EQ(context["clocksource"], "tsc");
  EXPECT_EQ(context["hypervisor"], "xen");
  EXPECT_EQ(context["cpu_model"], "A CPU");
  EXPECT_EQ(context["sysctls"]["net.ipv4.tcp_rmem"], "4096 131072 33554432");
  EXPECT_EQ(context["sysctls"]["kernel.io_uring_disabled"], 2);
  EXPECT_EQ(context["tcp_congestion_control"], "bbr");
}

TEST(Context, FindsTurboWhereverTheDriverHasIt) {
  MadeUpMachine machine;
  const std::string boost = "/sys/devices/system/cpu/cpufreq/boost";
  EXPECT_EQ(machine.file(boost, "1\n").context()["turbo"], true);
  EXPECT_EQ(machine.file(boost, "0\n").context()["turbo"], false);
  EXPECT_TRUE(machine.file(boost, "maybe\n").context()["turbo"].is_null());
}

TEST(Context, NamesArmCpusAsWellAsItCan) {
  MadeUpMachine server;
  server.file("/proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n");
  EXPECT_EQ(server.context()["cpu_model"], "implementer 0x41 part 0xd0c");
  server.file("/proc/device-tree/model", std::string("Board 4\0", 8));
  EXPECT_EQ(server.context()["cpu_model"], "Board 4");
}

TEST(Context, TellsHowItWasBuilt) {
  const Json context = collect_context();
  const std::string compiler = context["compiler"];
#if defined(__clang__)
  EXPECT_EQ(compiler.find("clang "), 0u) << compiler;
#else
  EXPECT_EQ(compiler.find("gcc "), 0u) << compiler;
#endif
  EXPECT_TRUE(context["build_type"].is_string());
  EXPECT_TRUE(context["compiler_flags"].is_string());
}

}  // namespace
