"""bench/peers: each of the others echoes too, or a comparison with it would be one with nothing."""

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conversation import random_bytes

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(os.environ["ECHOBENCH_BIN"])
sys.path.insert(0, str(ROOT / "scripts"))

from echobench.field import peers  # noqa: E402
from echobench.listening import free_port, listens  # noqa: E402
from echobench.plan import Subject  # noqa: E402
from echobench.subjects import missing, start_command  # noqa: E402

PEERS = peers(ROOT, BIN)
LIBC = ctypes.CDLL(None, use_errno=True)
PIDFD_GETFD = 438


@contextlib.contextmanager
def running(subject: Subject) -> Iterator[tuple[tuple[str, int], int]]:
    """Its address and process id, once it listens; killed at the end, as an experiment ends it."""
    reason = missing(subject)
    if reason is not None:
        pytest.skip(reason)
    port = free_port()
    process = subprocess.Popen(start_command(subject, {}, None, port), stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not listens(port):
            assert process.poll() is None and time.monotonic() < deadline, "it does not listen"
            time.sleep(0.01)
        yield ("127.0.0.1", port), process.pid
        assert process.poll() is None, "it ended by itself"
    finally:
        process.kill()
        process.wait()


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := connection.recv(size - len(data))):
        data += part
    return data


@pytest.mark.parametrize("subject", PEERS, ids=[each.name for each in PEERS])
def test_it_echoes_on_many_connections_and_half_closes(subject: Subject) -> None:
    with running(subject) as (address, _), contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(50)
        ]
        for _ in range(3):
            sent = [random_bytes(64) for _ in connections]
            for connection, data in zip(connections, sent):
                connection.sendall(data)
            for connection, data in zip(connections, sent):
                assert receive(connection, 64) == data
        data = random_bytes(64 * 1024)
        connections[0].sendall(data)
        connections[0].shutdown(socket.SHUT_WR)
        assert receive(connections[0], len(data) + 1) == data
        connections[1].close()  # the others are served on
        connections[2].sendall(b"x")
        assert receive(connections[2], 1) == b"x"


@pytest.mark.parametrize("subject", PEERS, ids=[each.name for each in PEERS])
def test_it_does_not_hold_small_messages_back(subject: Subject) -> None:
    """TCP_NODELAY, asked of the server's own socket: without it Nagle's algorithm meets the delayed
    acknowledgement as soon as there are several messages on their way."""
    with running(subject) as (address, pid), socket.create_connection(address, 60) as connection:
        connection.sendall(b"x")
        assert receive(connection, 1) == b"x"
        theirs = socket_of(pid, connection.getsockname())
        with theirs:
            assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def socket_of(pid: int, peer: tuple[str, int]) -> socket.socket:
    """Another process's socket that is connected with this address (pidfd_getfd(2))."""
    pidfd = os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if not os.readlink(entry).startswith("socket:"):
                continue
            copy = LIBC.syscall(PIDFD_GETFD, pidfd, int(entry.name), 0)
            if copy < 0:
                pytest.skip(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
            found = socket.socket(fileno=copy)
            with contextlib.suppress(OSError):
                if found.family == socket.AF_INET and found.getpeername() == peer:
                    return found
            found.close()
    finally:
        os.close(pidfd)
    pytest.fail("the server has no such connection")
