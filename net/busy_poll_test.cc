// When an engine may spin, and for how long.
#include "net/busy_poll.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <system_error>

namespace net {
namespace {

TEST(BusyPoll, AutoSpinsAShortWhileWhereTheLoopsLeaveACpuFree) {
  const BusyPoll automatic = BusyPoll::automatic();
  EXPECT_GT(automatic.spin(2, 1), 0);
  EXPECT_LT(automatic.spin(2, 1), kMillisecond);
  EXPECT_EQ(automatic.spin(64, 3), automatic.spin(2, 1));
}

TEST(BusyPoll, AutoDoesNotSpinWhereTheyDoNot) {
  EXPECT_EQ(BusyPoll::automatic().spin(1, 1), 0);
  EXPECT_EQ(BusyPoll::automatic().spin(2, 2), 0);
  EXPECT_EQ(BusyPoll::automatic().spin(2, 5), 0);
}

TEST(BusyPoll, WhatWasAskedForHoldsEverywhere) {
  for (const int cpus : {1, 2, 64}) {
    EXPECT_EQ(BusyPoll::off().spin(cpus, 1), 0);
    EXPECT_EQ(BusyPoll::always().spin(cpus, 1), kNever);
    EXPECT_EQ(BusyPoll::for_duration(70 * kMicrosecond).spin(cpus, 1), 70 * kMicrosecond);
  }
}

TEST(BusyPoll, TellsItsKind) {
  EXPECT_EQ(BusyPoll::automatic().kind(), BusyPoll::Kind::kAuto);
  EXPECT_EQ(BusyPoll::off().kind(), BusyPoll::Kind::kOff);
  EXPECT_EQ(BusyPoll::always().kind(), BusyPoll::Kind::kAlways);
  EXPECT_EQ(BusyPoll::for_duration(1).kind(), BusyPoll::Kind::kFor);
}

TEST(BusyPoll, IsWrittenAsOnTheCommandLine) {
  EXPECT_EQ(BusyPoll::automatic().to_string(), "auto");
  EXPECT_EQ(BusyPoll::off().to_string(), "off");
  EXPECT_EQ(BusyPoll::always().to_string(), "always");
  EXPECT_EQ(BusyPoll::for_duration(50 * kMicrosecond).to_string(), "50us");
  EXPECT_EQ(BusyPoll::for_duration(kSecond).to_string(), "1000000us");
  EXPECT_EQ(BusyPoll::for_duration(1500).to_string(), "1500ns");
}

/// Puts the CPUs of this thread back.
class Affinity {
 public:
  Affinity() { ::sched_getaffinity(0, sizeof before_, &before_); }
  ~Affinity() { ::sched_setaffinity(0, sizeof before_, &before_); }
  Affinity(const Affinity&) = delete;
  Affinity& operator=(const Affinity&) = delete;

  int first_cpu() const {
    int cpu = 0;
    while (!CPU_ISSET(static_cast<unsigned>(cpu), &before_)) ++cpu;
    return cpu;
  }

 private:
  cpu_set_t before_{};
};

TEST(UsableCpus, AreThoseThisThreadMayRunOn) {
  const Affinity affinity;
  EXPECT_GE(usable_cpus(), 1);
  pin_to_cpu(affinity.first_cpu());
  EXPECT_EQ(usable_cpus(), 1);
  EXPECT_EQ(::sched_getcpu(), affinity.first_cpu());
}

TEST(PinToCpu, NamesTheCpuThatThereIsNot) {
  const Affinity affinity;
  for (const int cpu : {CPU_SETSIZE - 1, CPU_SETSIZE, 4095}) {
    try {
      pin_to_cpu(cpu);
      ADD_FAILURE() << "runs on CPU " << cpu;
    } catch (const std::system_error& error) {
      EXPECT_NE(std::string(error.what()).find("CPU " + std::to_string(cpu)), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace net
