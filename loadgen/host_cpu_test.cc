// The steal column out of /proc/stat, from texts as kernels write them and from this machine's own.
#include "loadgen/host_cpu.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "net/busy_poll.h"

namespace {

using loadgen::HostCpu;
using loadgen::own_cpu_time;
using loadgen::steal_fraction;

TEST(HostCpuParse, TakesTheSumOfAllCpusAndGuestsOnce) {
  const auto cpu =
      HostCpu::parse("cpu  1 20 300 4000 50 6 7 80 1000 2000\ncpu0 9 9 9 9 9 9 9 9 9\n");
  ASSERT_TRUE(cpu);
  EXPECT_EQ(cpu->total_ticks, 1 + 20 + 300 + 4000 + 50 + 6 + 7 + 80);
  EXPECT_EQ(cpu->steal_ticks, 80);
}

TEST(HostCpuParse, GivesNothingWithoutAStealColumn) {
  EXPECT_FALSE(HostCpu::parse("cpu 1 2 3 4 5 6 7\ncpu0 1 2 3 4 5 6 7 8\n"));
  EXPECT_FALSE(HostCpu::parse("cpu0 1 2 3 4 5 6 7 8\n"));
  EXPECT_FALSE(HostCpu::parse("cpu 1 2 3 4 5 6 7 x\n"));
  EXPECT_FALSE(HostCpu::parse(""));
}

TEST(StealFraction, IsStealOverAllTime) {
  const HostCpu before{1000, 10};
  EXPECT_EQ(steal_fraction(before, HostCpu{1400, 110}), 0.25);
  EXPECT_EQ(steal_fraction(before, HostCpu{1400, 10}), 0.0);
  EXPECT_EQ(steal_fraction(before, HostCpu{1100, 110}), 1.0);
}

TEST(StealFraction, IsNothingWhereNoTickPassed) {
  const HostCpu sample{1000, 10};
  EXPECT_EQ(steal_fraction(sample, sample), std::nullopt);
  EXPECT_EQ(steal_fraction(sample, HostCpu{999, 10}), std::nullopt);
  EXPECT_EQ(steal_fraction(std::nullopt, sample), std::nullopt);
  EXPECT_EQ(steal_fraction(sample, std::nullopt), std::nullopt);
}

TEST(StealFraction, StaysWithinItsBounds) {
  EXPECT_EQ(steal_fraction(HostCpu{1000, 10}, HostCpu{1004, 20}), 1.0);
  EXPECT_EQ(steal_fraction(HostCpu{1000, 10}, HostCpu{1100, 9}), 0.0);
}

TEST(HostCpuSample, GoesForwardOnThisMachine) {
  const auto first = HostCpu::sample();
  if (!first) GTEST_SKIP() << "/proc/stat has no steal column here";
  EXPECT_GT(first->total_ticks, 0);
  std::optional<double> fraction;
  while (!fraction) fraction = steal_fraction(first, HostCpu::sample());
  EXPECT_GE(*fraction, 0.0);
  EXPECT_LE(*fraction, 1.0);
}

TEST(OwnCpuTime, IsWhatGetrusageSaysThreadsThatEndedIncluded) {
  const auto known = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * net::kSecond +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * net::kMicrosecond;
  };
  const net::Nanos known_before = known();
  const net::Nanos before = own_cpu_time();
  std::thread([&] {
    while (known() < known_before + 50 * net::kMillisecond) continue;
  }).join();
  const net::Nanos grown = own_cpu_time() - before;
  EXPECT_GT(grown, 25 * net::kMillisecond);
  EXPECT_LT(grown, 2 * (known() - known_before));
}

TEST(ThreadCpuTime, IsThatOfTheCallerAlone) {
  const net::Nanos before = loadgen::thread_cpu_time();
  std::thread([] {
    const net::Nanos start = loadgen::thread_cpu_time();
    while (loadgen::thread_cpu_time() < start + 30 * net::kMillisecond) continue;
  }).join();
  EXPECT_LT(loadgen::thread_cpu_time() - before, 30 * net::kMillisecond);
}

TEST(AllowedCpus, AreThoseOfTheAffinity) {
  const std::set<int> all = loadgen::allowed_cpus(0);
  ASSERT_FALSE(all.empty());
  std::thread([&all] {
    net::pin_to_cpu(*all.rbegin());
    EXPECT_EQ(loadgen::allowed_cpus(0), std::set<int>{*all.rbegin()});
  }).join();
  EXPECT_EQ(loadgen::allowed_cpus(::gettid()), all);
}

TEST(AllowedCpus, OfAThreadThatHasEndedThereAreNone) {
  pid_t id = 0;
  std::thread([&id] { id = ::gettid(); }).join();
  const std::string path = "/proc/self/task/" + std::to_string(id);
  while (::access(path.c_str(), F_OK) == 0) ::sched_yield();
  EXPECT_TRUE(loadgen::allowed_cpus(id).empty());
}

TEST(RunDelay, GrowsWhereTwoThreadsWantOneCpu) {
  std::ifstream schedstat("/proc/thread-self/schedstat");
  if (!schedstat) GTEST_SKIP() << "this kernel keeps no schedstat";
  const int cpu = *loadgen::allowed_cpus(0).begin();
  std::atomic<bool> stop = false;
  std::thread rival([&] {
    net::pin_to_cpu(cpu);
    while (!stop) continue;
  });
  std::thread([&] {
    net::pin_to_cpu(cpu);
    const net::Nanos before = loadgen::run_delay(::gettid());
    while (loadgen::run_delay(::gettid()) < before + 10 * net::kMillisecond) continue;
  }).join();
  stop = true;
  rival.join();
}

TEST(RunDelay, IsZeroWhereTheKernelDoesNotSay) { EXPECT_EQ(loadgen::run_delay(-1), 0); }

}  // namespace
