#include "cli/shared_options.h"

#include <algorithm>
#include <string>

#include "cli/units.h"

namespace cli {

std::optional<net::Backend> parse_backend(std::string_view text,
                                          std::span<const net::Backend> allowed) {
  if (text == "auto") return std::nullopt;
  const auto backend = net::backend_named(text);
  if (backend && std::ranges::find(allowed, *backend) != allowed.end()) return backend;
  std::string names;
  for (const net::Backend each : allowed) {
    names += (names.empty() ? "" : ", ") + std::string(net::name_of(each));
  }
  throw BadValue(names + " or auto");
}

net::BusyPoll parse_busy_poll(std::string_view text) {
  if (text == "auto") return net::BusyPoll::automatic();
  if (text == "off") return net::BusyPoll::off();
  if (text == "always") return net::BusyPoll::always();
  try {
    return net::BusyPoll::for_duration(parse_duration(text, 1, net::kSecond));
  } catch (const BadValue&) {
    throw BadValue("auto, off, always or a duration from 1ns to 1s, such as 50us");
  }
}

}  // namespace cli
