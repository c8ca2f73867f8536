"""More clients at once than the backlog holds. The kernel drops their handshakes and they try
again: nobody who is connected is left without an answer, and SIGUSR1 tells that it happened."""

import errno
import select
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from conversation import ask
from evidence import Evidence
from scale import FULL, tries
from server_process import EchoServer, StartServer

BACKLOG = 16
CLIENTS = tries(300, 5000)
ALL_IN = tries(0, 60)  # seconds for those to connect whom the kernel has put off


def overflows_here() -> int:
    """TcpExt ListenOverflows of this network namespace, of which other tests may have a part."""
    lines = Path("/proc/net/netstat").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2]):
        table = dict(zip(names.split(), values.split()))
        if "ListenOverflows" in table:
            return int(table["ListenOverflows"])
    pytest.skip("this kernel does not count ListenOverflows")


def begin_to_connect(server: EchoServer) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    result = client.connect_ex(server.address())
    assert result in (0, errno.EINPROGRESS), f"connect: {errno.errorcode[result]}"
    return client


def ready(clients: Sequence[socket.socket], events: int, seconds: float) -> list[socket.socket]:
    poll = select.poll()
    of_descriptor = {client.fileno(): client for client in clients}
    for client in clients:
        poll.register(client, events)
    return [of_descriptor[descriptor] for descriptor, _ in poll.poll(seconds * 1000)]


def expect_answer(client: socket.socket, message: bytes) -> None:
    """A client that connected may have to send it again: its handshake's last part was dropped."""
    error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    assert error == 0, f"expected to be connected, got {errno.errorcode[error]}"
    client.setblocking(True)
    client.settimeout(60)
    ask(client, message)


def answer_those_who_come(clients: Sequence[socket.socket]) -> int:
    """Until all are connected, or the time for it is over; returns how many came."""
    waiting = list(clients)
    answered = 0
    end = time.monotonic() + ALL_IN
    while waiting:
        connected = ready(waiting, select.POLLOUT, max(0.0, end - time.monotonic()))
        for client in connected:
            expect_answer(client, b"%8d" % client.fileno())
            waiting.remove(client)
        answered += len(connected)
        if not connected:
            break
    return answered


def test_nobody_who_is_connected_is_left_without_an_answer(start_server: StartServer,
                                                           evidence: Evidence) -> None:
    before = overflows_here()
    # SYN cookies (net.ipv4.tcp_syncookies) may leave it one connection more for a client that has
    # gone, and a drain waits for that in vain.
    server = start_server(f"--backlog={BACKLOG}", "--drain-timeout=1s")
    bystander = server.connect()
    ask(bystander)
    began = overflows_here()
    server.pause()
    clients = [begin_to_connect(server) for _ in range(CLIENTS)]
    dropped = overflows_here()
    server.go_on()
    answered = answer_those_who_come(clients)
    ask(bystander)
    assert answered > BACKLOG, f"expected more than the backlog to be answered, {answered} are"
    assert answered == CLIENTS or not FULL, f"expected all to come in {ALL_IN} s, {answered} did"

    ended = overflows_here()
    counted = server.counters()["listen_overflows"]
    after = overflows_here()
    assert dropped > began, "expected the backlog to overflow"
    assert ended - began <= counted <= after - before, (
        f"the kernel counted {ended - began} overflows at least and {after - before} at most, the "
        f"server says {counted}")
    for client in clients:
        client.close()
    evidence("backlog overflow", backlog=BACKLOG, clients=CLIENTS, answered=answered,
             connected_and_not_answered=0, overflows_told=counted)


def somaxconn() -> int:
    return int(Path("/proc/sys/net/core/somaxconn").read_text())


def test_clamped_backlog_is_warned_about(start_server: StartServer, evidence: Evidence) -> None:
    limit = somaxconn()
    if limit >= 65535:
        pytest.skip(f"net.core.somaxconn is {limit}: no backlog is clamped here")
    warned = start_server("--backlog=65535")
    assert f"--backlog: the kernel clamps 65535 to {limit} (net.core.somaxconn)" in warned.stderr()
    silent = start_server(f"--backlog={limit}")
    assert "somaxconn" not in silent.stderr(), f"nothing is clamped: {silent.stderr()!r}"
    evidence("backlog overflow", clamp_warnings=1)
