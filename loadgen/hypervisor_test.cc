// The names that hypervisors give themselves, and this machine's against what the kernel says.
#include "loadgen/hypervisor.h"

#include <gtest/gtest.h>

#include "loadgen/kernel_text.h"

namespace {

using loadgen::hypervisor;
using loadgen::hypervisor_named_in;

TEST(HypervisorNamedIn, KnowsWhatCpusSay) {
  EXPECT_EQ(hypervisor_named_in(std::string_view("KVMKVMKVM\0\0\0", 12)), "kvm");
  EXPECT_EQ(hypervisor_named_in("Microsoft Hv"), "hyper-v");
  EXPECT_EQ(hypervisor_named_in("VMwareVMware"), "vmware");
  EXPECT_EQ(hypervisor_named_in("XenVMMXenVMM"), "xen");
  EXPECT_EQ(hypervisor_named_in("VBoxVBoxVBox"), "virtualbox");
  EXPECT_EQ(hypervisor_named_in("TCGTCGTCGTCG"), "qemu");
  EXPECT_EQ(hypervisor_named_in("bhyve bhyve "), "bhyve");
  EXPECT_EQ(hypervisor_named_in(" prl hyperv "), "parallels");
}

TEST(HypervisorNamedIn, KnowsWhatFirmwareSays) {
  EXPECT_EQ(hypervisor_named_in("linux,kvm\n\n\n\n"), "kvm");
  EXPECT_EQ(hypervisor_named_in("\nKVM Virtual Machine\nQEMU\nEDK II\n"), "kvm");
  EXPECT_EQ(hypervisor_named_in("\nVirtual Machine\nMicrosoft Corporation\n"), "hyper-v");
  EXPECT_EQ(hypervisor_named_in("\nc6g.large\nAmazon EC2\nAmazon EC2\n"), "kvm");
}

TEST(HypervisorNamedIn, TakesNoBareMachineForAGuest) {
  EXPECT_EQ(hypervisor_named_in("\nc6g.metal\nAmazon EC2\nAmazon EC2\n"), std::nullopt);
  EXPECT_EQ(hypervisor_named_in("\nSurface Pro\nMicrosoft Corporation\n"), std::nullopt);
  EXPECT_EQ(hypervisor_named_in("\nPowerEdge R740\nDell Inc.\n"), std::nullopt);
  EXPECT_EQ(hypervisor_named_in(""), std::nullopt);
}

#if defined(__x86_64__) || defined(__i386__)
TEST(Hypervisor, IsThereWhereTheKernelSeesOne) {
  const auto cpuinfo = loadgen::read_kernel_text("/proc/cpuinfo");
  ASSERT_TRUE(cpuinfo);
  const std::string flags = " " + loadgen::value_of(*cpuinfo, "flags").value_or("") + " ";
  const bool xen = loadgen::read_kernel_line("/sys/hypervisor/type").has_value();
  EXPECT_EQ(hypervisor().has_value(), xen || flags.find(" hypervisor ") != std::string::npos);
  EXPECT_NE(hypervisor().value_or("none"), "");
}
#endif

}  // namespace
