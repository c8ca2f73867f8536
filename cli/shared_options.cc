#include "cli/shared_options.h"

#include <stdexcept>
#include <string>

#include "cli/units.h"

namespace cli {

std::optional<net::Backend> parse_backend(std::string_view text) {
  try {
    return net::parse_backend(text);
  } catch (const std::invalid_argument&) {
    throw BadValue(std::string(net::kBackendNames));
  }
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
