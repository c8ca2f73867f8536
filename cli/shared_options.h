// The option values that more than one program reads, so that they read them alike.
#pragma once

#include <optional>
#include <string_view>

#include "net/backend.h"
#include "net/busy_poll.h"

namespace cli {

/// "epoll", "io_uring"; nullopt for "auto". Throws BadValue.
std::optional<net::Backend> parse_backend(std::string_view text);

/// "auto", "off", "always" or a duration up to 1 s. Throws BadValue.
net::BusyPoll parse_busy_poll(std::string_view text);

inline constexpr int kDefaultPort = 8888;

}  // namespace cli
