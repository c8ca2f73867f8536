"""More clients than there are descriptors for: as many are served as the server said, exactly."""

import re
import resource
import select
import socket
import time
from collections.abc import Sequence

import pytest

from at_rest import Baseline, expect_asleep
from conversation import Ended, ask, receive
from evidence import Evidence
from expect import PATIENCE, expect_same
from scale import tries
from server_process import EchoServer, StartServer

DESCRIPTORS = tries(150, 1000)
CLIENTS = DESCRIPTORS * 3 // 2
PAUSE = 0.1  # seconds for which accepting stops where no descriptor is left


def limit_it_tells(server: EchoServer, warning: str) -> int:
    found = re.search(warning + f": RLIMIT_NOFILE is {DESCRIPTORS}\n", server.stderr())
    assert found, f"expected a warning about RLIMIT_NOFILE, got {server.stderr()!r}"
    return int(found[1])


def await_verdicts(clients: Sequence[socket.socket]) -> None:
    """Until each of them has an answer or an end."""
    waiting = select.poll()
    for client in clients:
        waiting.register(client, select.POLLIN)
    left = len(clients)
    while left > 0:
        decided = waiting.poll(PATIENCE * 1000)
        assert decided, f"expected all to be answered or closed, {left} clients wait"
        for descriptor, _ in decided:
            waiting.unregister(descriptor)
            left -= 1


def is_served(client: socket.socket, message: bytes) -> bool:
    try:
        expect_same(receive(client, len(message)), message)
        return True
    except Ended:
        return False


def visit(server: EchoServer, limit: int) -> int:
    """How many of the clients that come all at once are closed."""
    start = time.monotonic()
    clients = server.connect_many(CLIENTS)
    for number, client in enumerate(clients):
        try:
            client.sendall(b"%8d" % number)
        except ConnectionError:
            continue  # closed already
    await_verdicts(clients)
    took = time.monotonic() - start
    assert took < (CLIENTS - limit) * PAUSE / 2, (
        f"expected the excess to be closed at once, and not after a pause each: {took:.1f} s")
    served = [client for number, client in enumerate(clients) if is_served(client, b"%8d" % number)]
    assert len(served) == limit, (
        f"expected {limit} of {CLIENTS} clients to be served, as the server said; "
        f"{len(served)} are")
    for client in served:
        ask(client)
    for client in clients:
        client.close()
    return len(clients) - len(served)


@pytest.mark.parametrize("options, warning", [
    ([f"--max-connections={CLIENTS}"], rf"--max-connections: only (\d+) of {CLIENTS}"),
    ([], r"at most (\d+) connections at a time"),
], ids=["asked", "derived"])
def test_as_many_are_served_as_it_said(start_server: StartServer, evidence: Evidence,
                                       options: Sequence[str], warning: str) -> None:
    server = start_server(
        *options,
        before_exec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS)))
    limit = limit_it_tells(server, warning)
    assert DESCRIPTORS - 32 < limit < DESCRIPTORS, f"expected nearly {DESCRIPTORS}, got {limit}"
    at_rest = server.fds()
    closed = visit(server, limit)
    server.await_fds(at_rest)
    full = server.connect_many(limit)
    for client in full:
        ask(client)
    expect_asleep(server, "when it is full")
    for client in full:
        client.close()
    server.await_fds(at_rest)
    baseline = Baseline(server, at_once=limit)
    closed += visit(server, limit)
    baseline.expect_again()
    counters = server.counters()
    assert counters["turned_away"] == closed, f"expected {closed} turned away, got {counters}"
    evidence("connection limit", descriptors=DESCRIPTORS, clients=2 * CLIENTS, limit=limit,
             served=2 * limit, closed=closed)
