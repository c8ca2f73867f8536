// The option values that more than one program reads, so that they read them alike.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "net/backend.h"
#include "net/busy_poll.h"

namespace cli {

/// One of these backends, by name; nullopt for "auto". Throws BadValue.
std::optional<net::Backend> parse_backend(std::string_view text,
                                          std::span<const net::Backend> allowed);

/// "auto", "off", "always" or a duration up to 1 s. Throws BadValue.
net::BusyPoll parse_busy_poll(std::string_view text);

inline constexpr int kDefaultPort = 8888;

}  // namespace cli
