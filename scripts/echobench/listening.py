"""Ports for servers that do not choose their own, and when such a server listens.

The kernel's tables say it (proc_tcp, Documentation/networking/proc_net_tcp.rst): a trial connection
would be the first message of a measurement, and the last of a server that serves one client only.
"""

import socket
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LISTEN = "0A"


def free_port() -> int:
    """A port of 127.0.0.1 that nothing uses now. The kernel hands them out in turns, so none takes
    it before the server does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether any socket of this machine does."""
    for table in TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            if state == LISTEN and int(local.rpartition(":")[2], 16) == port:
                return True
    return False
