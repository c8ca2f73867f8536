#include "loadgen/hypervisor.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <utility>

#include "loadgen/kernel_text.h"

namespace loadgen {
namespace {

#if defined(__x86_64__) || defined(__i386__)
constexpr bool kCpuTells = true;

/// Bit 31 of leaf 1's ecx says that there is a hypervisor; the leaves from 0x40000000 on are its
/// own and begin with its name (Linux, arch/x86/include/asm/cpuid: hypervisor_cpuid_base).
std::optional<std::string> told_by_cpu() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  __cpuid(1, eax, ebx, ecx, edx);
  if ((ecx >> 31 & 1) == 0) return std::nullopt;
  __cpuid(0x40000000, eax, ebx, ecx, edx);
  const std::array<unsigned, 3> registers = {ebx, ecx, edx};
  std::array<char, sizeof registers> text{};
  std::memcpy(text.data(), registers.data(), text.size());
  return printable(trimmed({text.data(), text.size()}));
}
#else
constexpr bool kCpuTells = false;

std::optional<std::string> told_by_cpu() { return std::nullopt; }
#endif

std::optional<std::string> told_by_firmware(const std::string& root) {
  std::string text;
  for (const char* path :
       {"/proc/device-tree/hypervisor/compatible", "/sys/class/dmi/id/product_name",
        "/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/bios_vendor"}) {
    text += read_kernel_line(root + path).value_or("") + '\n';
  }
  return hypervisor_named_in(text);
}

}  // namespace

std::optional<std::string> hypervisor(const std::string& root) {
  if (auto type = read_kernel_line(root + "/sys/hypervisor/type")) return type;
  const auto vendor = told_by_cpu();
  if (!vendor) return kCpuTells ? std::nullopt : told_by_firmware(root);
  return hypervisor_named_in(*vendor).value_or(vendor->empty() ? "unknown" : *vendor);
}

std::optional<std::string> hypervisor_named_in(std::string_view text) {
  // In this order: QEMU is also what KVM's firmware calls itself.
  constexpr std::array<std::pair<std::string_view, const char*>, 18> kNames = {{
      {"kvm", "kvm"},
      {"amazon ec2", "kvm"},
      {"google compute", "kvm"},
      {"openstack", "kvm"},
      {"vmware", "vmware"},
      {"xen", "xen"},
      {"vbox", "virtualbox"},
      {"virtualbox", "virtualbox"},
      {"innotek", "virtualbox"},
      {"tcgtcg", "qemu"},
      {"qemu", "qemu"},
      {"bhyve", "bhyve"},
      {"parallels", "parallels"},
      {"prl hyperv", "parallels"},
      {"acrn", "acrn"},
      {"apple virtualization", "apple"},
      {"microsoft hv", "hyper-v"},
      {"virtual machine", "hyper-v"},
  }};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower.find(".metal") != std::string::npos) return std::nullopt;  // EC2's bare machines
  for (const auto& [part, name] : kNames) {
    if (lower.find(part) != std::string::npos) return name;
  }
  return std::nullopt;
}

}  // namespace loadgen
