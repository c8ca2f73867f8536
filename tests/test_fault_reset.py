"""Resets in mid-message, by the peer and by the administrator: each ends its own connection only,
and SIGUSR1's counters tell how many there were, by errno."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from at_rest import Baseline
from conversation import (Conversation, ask, conversations, converse, expect_closed, random_bytes,
                          readable, reset)
from evidence import Evidence
from expect import wait_until
from scale import tries
from server_process import EchoServer, StartServer, scaled

KIB = 1024
BYSTANDERS = 20
WAVE = 100
KILLED = tries(50, 500)
OTHER_SOURCE = "127.0.0.2"  # so that ss can tell its connections from the others


def resets_counted(server: EchoServer) -> int:
    """ECONNRESET where the server was receiving, EPIPE where it learns from a second send."""
    counters = server.counters()
    return counters.get("ECONNRESET", 0) + counters.get("EPIPE", 0)


def await_resets(server: EchoServer, count: int) -> None:
    wait_until(lambda: resets_counted(server) == count,
               lambda: f"expected {count} resets to be counted, got {server.counters()}")


def reset_many(server: EchoServer, count: int, dice: random.Random) -> int:
    """Each leaves after a random part of its message is sent, with a random part of that back;
    returns the bytes sent."""
    message = random_bytes(64 * KIB)
    rude = server.connect_many(count)
    sent = 0
    for connection in rude:
        connection.setblocking(False)
        sent += connection.send(message[:int(2 ** dice.uniform(0, 16))])
    for connection in rude:
        with contextlib.suppress(BlockingIOError):
            connection.recv(int(2 ** dice.uniform(0, 16)))
        reset(connection)
    return sent


def move_on(bystanders: list[Conversation]) -> None:
    """Half of what they have left, so that each has a message under way at all times."""
    for peer in bystanders:
        peer.pull()
        peer.push(4 * KIB)


def test_resets_end_only_their_own_connections(server: EchoServer, evidence: Evidence) -> None:
    dice = random.Random(20)
    at_rest = server.fds()
    count = scaled(tries(1_000, 10_000)) // WAVE * WAVE
    reset_many(server, WAVE, dice)
    await_resets(server, WAVE)
    server.await_fds(at_rest)
    baseline = Baseline(server, at_once=WAVE)

    bystanders = conversations(server.connect_many(BYSTANDERS), 512 * KIB, "bystander")
    sent = 0
    for _ in range(count // WAVE):
        move_on(bystanders)
        sent += reset_many(server, WAVE, dice)
    converse(bystanders)
    await_resets(server, WAVE + count)
    server.await_fds(at_rest + BYSTANDERS)
    for peer in bystanders:
        peer.connection.close()
    baseline.expect_again()
    evidence("reset in mid-message", resets=count, counted=count, bytes_sent_by_them=sent,
             bystanders=BYSTANDERS, bystanders_lost=0)


# ---- ss -K, which ends a connection from outside (sock_diag(7), CONFIG_INET_DIAG_DESTROY)

def kill_sockets(*which: str) -> None:
    subprocess.run(["ss", "--kill", "--tcp", "state", "established", *which],
                   capture_output=True, timeout=60, check=False)


def needs_ss_to_kill() -> None:
    if shutil.which("ss") is None or os.geteuid() != 0:
        pytest.skip("ss -K needs root, and ss from iproute2")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as connection:
            kill_sockets("src", "127.0.0.1", "dport", "=", f":{port}")
            if not readable([connection]):
                pytest.skip("ss -K ends nothing: the kernel lacks CONFIG_INET_DIAG_DESTROY")


@contextlib.contextmanager
def connections_from(source: str, server: EchoServer, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as closing:
        yield [closing.enter_context(
            socket.create_connection(server.address(), timeout=20, source_address=(source, 0)))
            for _ in range(count)]


@pytest.mark.parametrize("side", ["server", "client"])
def test_connections_that_the_administrator_ends(start_server: StartServer, side: str,
                                                 evidence: Evidence) -> None:
    needs_ss_to_kill()
    server = start_server()
    at_rest = server.fds()
    bystanders = conversations(server.connect_many(BYSTANDERS), 256 * KIB, "bystander")
    with connections_from(OTHER_SOURCE, server, KILLED) as doomed:
        for connection in doomed:
            ask(connection)
        for peer in bystanders:
            peer.push(100 * KIB)
        for connection in doomed:
            connection.sendall(random_bytes(100))
        if side == "server":
            kill_sockets("dst", OTHER_SOURCE, "sport", "=", f":{server.port}")
            for connection in doomed:
                expect_closed_after_answers(connection)
        else:
            kill_sockets("src", OTHER_SOURCE, "dport", "=", f":{server.port}")
        converse(bystanders)
        server.await_fds(at_rest + BYSTANDERS)
    error = "ECONNABORTED" if side == "server" else "ECONNRESET"
    counters = server.counters()
    assert counters.get(error) == KILLED, f"expected {error}={KILLED}, got {counters}"
    evidence("reset in mid-message", killed_by_ss=KILLED, counted=KILLED, bystanders=BYSTANDERS,
             bystanders_lost=0)


def expect_closed_after_answers(connection: socket.socket) -> None:
    """What had come back before may yet be read."""
    wait_until(lambda: bool(readable([connection])), "expected a killed connection to be reset")
    with contextlib.suppress(ConnectionError):
        connection.recv(4096)
    expect_closed(connection)
