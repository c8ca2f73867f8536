#include "server/sandbox.h"

#include <string>

#include "server/landlock.h"
#include "server/sanitizer.h"
#include "server/syscall_filter.h"

namespace server {
namespace {

void need(const std::string& why_not) {
  if (!why_not.empty()) throw SandboxUnavailable("--sandbox=strict: " + why_not);
}

}  // namespace

void enter(Sandbox sandbox, net::Backend backend, std::optional<std::uint16_t> next_hop) {
  if (sandbox == Sandbox::kOff) return;
  const bool strict = sandbox == Sandbox::kStrict;
  if (strict && kSanitized) need("this build has a sanitizer, which makes calls of its own");
  const std::string why_not = restrict_reach(next_hop);
  if (!strict) return;
  need(why_not);
  need(restrict_calls(backend, next_hop.has_value()));
}

}  // namespace server
