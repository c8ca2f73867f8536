"""The lecture's server in Python: socket, bind, listen, accept, recv, send.

With a thread for each connection, or the second client would wait for the first to go.
Usage: lecture_echo.py PORT
"""

import socket
import sys
import threading


def serve(connection: socket.socket) -> None:
    """One client, until it has nothing more to say."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while data := connection.recv(64 * 1024):
            connection.sendall(data)


def main(port: int) -> None:
    """Serves until it is killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen(4096)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
