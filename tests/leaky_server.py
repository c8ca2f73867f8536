#!/usr/bin/env python3
"""An echo server that keeps what it should give back, for the test of what is to notice it.

KEEPS is "descriptors" (one more for each connection that ended), "memory" (64 KiB for each) or
"spinning" (a thread that does so from the start).
"""

import os
import socketserver
import sys
import threading
from typing import ClassVar


class Echo(socketserver.BaseRequestHandler):
    """The lecture's loop, in a thread for each connection."""

    keeps = ""
    kept: ClassVar[list[object]] = []

    def handle(self) -> None:
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except OSError:
            pass
        if self.keeps == "descriptors":
            self.kept.append(os.dup(0))
        elif self.keeps == "memory":
            self.kept.append(b"x" * (64 << 10))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, _request: object, _client: object) -> None:
        pass


def spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    Echo.keeps = sys.argv[1]
    if Echo.keeps == "spinning":
        threading.Thread(target=spin, daemon=True).start()
    with Server(("127.0.0.1", 0), Echo) as server:
        print(f"listening on 127.0.0.1:{server.server_address[1]} (python)", flush=True)
        server.serve_forever()
