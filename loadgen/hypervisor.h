// What virtualises this machine, if anything does: a virtual CPU that waits for a real one is in
// every sample.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace loadgen {

/// "kvm", "hyper-v", "vmware", "xen", …; as the hypervisor calls itself where that is none of the
/// known names; nullopt on bare metal and where nothing tells. `root` stands before /proc and /sys.
std::optional<std::string> hypervisor(const std::string& root = "");

/// The known name in what a CPU, a firmware or a device tree says; nullopt where there is none.
std::optional<std::string> hypervisor_named_in(std::string_view text);

}  // namespace loadgen
