// A listening socket that was made by who starts the server, a service manager, say, and handed
// over (sd_listen_fds(3)). Three environment variables tell of it: LISTEN_FDS sockets stand from
// descriptor 3 on, for the process LISTEN_PID alone; LISTEN_FDNAMES has their names.
#pragma once

#include "net/fd.h"

namespace server {

/// Whether the variables are there, and for this process: not for its parent, who left them.
bool is_socket_handed_over();

/// Takes it, and removes the variables. Throws std::runtime_error where there is more than one, or
/// what there is can't be listened on.
net::Fd take_handed_over_socket();

}  // namespace server
