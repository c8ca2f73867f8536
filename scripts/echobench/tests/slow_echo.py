"""An echo that takes a known time for each message: to see whether an experiment finds a server
that is slower by a known share, and of that size.

Of 200 us the sockets' own share is a few per cent, and the load generator waits for the server: so
220 us are a server that is 10 % slower, and its throughput is 1 / 1.1 = 0.91 of the other's.
Usage: slow_echo.py PORT MICROSECONDS
"""

import selectors
import socket
import sys
import time


def main(port: int, busy_us: int) -> None:
    """Serves until it is killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(connection, selectors.EVENT_READ)
                elif not echo(key.fileobj, busy_us):  # type: ignore[arg-type]
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]


def echo(connection: socket.socket, busy_us: int) -> bool:
    """Once; whether there will be more."""
    try:
        data = connection.recv(65536)
        end = time.perf_counter_ns() + 1000 * busy_us
        while time.perf_counter_ns() < end:
            pass
        connection.sendall(data)
    except ConnectionError:
        return False
    return bool(data)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
