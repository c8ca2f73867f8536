"""What the server does at its limits: of connections, of descriptors, of silence, of CPU time."""

import os
import resource
import select
import socket
import time
from collections.abc import Sequence

import pytest

from conversation import ask, expect_closed, expect_end, receive
from expect import PATIENCE, wait_until
from server_process import EchoServer, StartServer

SPINNING = 0.2  # of one CPU: an order of magnitude more than waiting costs


def cpu_share(server: EchoServer, seconds: float) -> float:
    """CPU time per time over a stretch of waiting."""
    start, used = time.monotonic(), server.cpu_seconds()
    time.sleep(seconds)
    return (server.cpu_seconds() - used) / (time.monotonic() - start)


def readable(connections: Sequence[socket.socket]) -> list[socket.socket]:
    """Those with an answer, or with an end, to read."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(0)}
    return [connection for connection in connections if connection.fileno() in ready]


# ---- --max-connections

def test_the_excess_is_closed_at_once(start_server: StartServer) -> None:
    server = start_server("--max-connections=10")
    served = server.connect_many(10)
    for connection in served:
        ask(connection)
    for _ in range(30):
        expect_closed(server.connect())
    for connection in served:
        ask(connection)


def test_a_place_that_is_free_again_is_given_away(start_server: StartServer) -> None:
    server = start_server("--max-connections=2")
    stays, leaves = server.connect_many(2)
    ask(stays)
    ask(leaves)
    occupied = server.fds()
    leaves.close()
    server.await_fds(occupied - 1)
    ask(server.connect())
    ask(stays)


# ---- descriptors

def few_from_the_start(start_server: StartServer) -> EchoServer:
    return start_server(
        before_exec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)))


def few_while_it_runs(start_server: StartServer) -> EchoServer:
    """So that accept(2) fails with EMFILE, whatever the server found out when it started."""
    server = start_server()
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (32, 32))
    return server


def expect_answered_or_closed(connection: socket.socket, message: bytes) -> None:
    """But never silence."""
    try:
        receive(connection, len(message))
    except AssertionError as failure:
        assert "nothing for" not in str(failure), (
            f"expected a waiting client to be answered or closed when others left: {failure}")


@pytest.mark.every_rung
@pytest.mark.parametrize("few_descriptors", [few_from_the_start, few_while_it_runs])
def test_out_of_descriptors(start_server: StartServer, few_descriptors: StartServer) -> None:
    server = few_descriptors(start_server)
    at_rest = server.fds()
    clients = server.connect_many(60)
    for connection in clients:
        connection.sendall(b"Hello")
    wait_until(lambda: len(readable(clients)) >= 16 and server.fds() >= 30,
               lambda: f"expected the server to serve as many as it can, it holds {server.fds()} "
                       f"descriptors of 32")

    share = cpu_share(server, 0.5)
    assert share < SPINNING, (
        f"expected the server to wait for a descriptor, it spins with {share:.0%} of a CPU")

    served = readable(clients)
    for connection in served + [client for client in clients if client not in served]:
        expect_answered_or_closed(connection, b"Hello")
        connection.close()
    server.await_fds(at_rest)
    for connection in server.connect_many(10):
        ask(connection)


# ---- --idle-timeout

def test_idle_means_silent_for_that_long(start_server: StartServer) -> None:
    server = start_server("--idle-timeout=200ms")
    connection = server.connect()
    ask(connection)
    start = time.monotonic()
    expect_end(connection)
    silent = time.monotonic() - start
    assert silent > 0.1, f"expected an end after 200 ms of silence, it took {silent * 1e3:.0f} ms"


def test_idle_after_many_messages_is_idle_too(start_server: StartServer) -> None:
    server = start_server("--idle-timeout=2s")
    connection = server.connect()
    for _ in range(40):
        ask(connection)
    start = time.monotonic()
    expect_end(connection)
    silent = time.monotonic() - start
    assert silent < 3.9, f"expected an end after 2 s of silence, not twice that: {silent:.1f} s"


def test_active_means_any_byte(start_server: StartServer) -> None:
    """The loop sleeps in between: that must not make the connection look older than it is."""
    server = start_server("--idle-timeout=1s")
    connection = server.connect()
    for _ in range(4):
        time.sleep(0.6)
        ask(connection)


def test_idle_connections_are_closed_beside_an_active_one(start_server: StartServer) -> None:
    server = start_server("--idle-timeout=500ms")
    idle = server.connect_many(5)
    active = server.connect()
    start = time.monotonic()
    asked, longest_silence = start, 0.0
    while len(readable(idle)) < len(idle) or time.monotonic() < start + 1:
        assert time.monotonic() < start + PATIENCE, (
            f"expected {len(idle)} idle connections to be closed, {len(readable(idle))} are")
        longest_silence = max(longest_silence, time.monotonic() - asked)
        asked = time.monotonic()
        try:
            ask(active)
        except (AssertionError, OSError):
            if longest_silence > 0.4:
                pytest.skip(f"this machine kept the client from running for {longest_silence} s")
            raise
        time.sleep(0.02)
    for connection in idle:
        expect_end(connection)


# ---- --backlog, --cpu, --busy-poll

@pytest.mark.parametrize("backlog", ["1", "16", "4096", "65535"])
def test_backlog(start_server: StartServer, backlog: str) -> None:
    server = start_server(f"--backlog={backlog}")
    for _ in range(10):
        ask(server.connect())


def test_cpu_pins_the_server(start_server: StartServer) -> None:
    cpu = max(os.sched_getaffinity(0))
    server = start_server(f"--cpu={cpu}")
    ask(server.connect())
    assert server.allowed_cpus() == str(cpu)


@pytest.mark.has_a_loop
@pytest.mark.parametrize("busy_poll", ["off", "auto", "50us"])
def test_idle_server_sleeps(start_server: StartServer, busy_poll: str) -> None:
    server = start_server(f"--busy-poll={busy_poll}")
    connection = server.connect()
    ask(connection)
    share = cpu_share(server, 1)
    assert share < 0.05, f"expected an idle server to sleep, it used {share:.0%} of a CPU"
    ask(connection)


@pytest.mark.has_a_loop
def test_busy_poll_always_never_sleeps(start_server: StartServer) -> None:
    server = start_server("--busy-poll=always")
    ask(server.connect())
    used = server.cpu_seconds()
    wait_until(lambda: server.cpu_seconds() > used + 0.3, "expected an idle server to spin")


@pytest.mark.has_a_loop
@pytest.mark.parametrize("busy_poll", ["off", "auto", "always", "50us"])
def test_busy_poll_changes_no_byte(start_server: StartServer, busy_poll: str) -> None:
    server = start_server(f"--busy-poll={busy_poll}")
    connection = server.connect()
    for number in range(200):
        ask(connection, number.to_bytes(4, "big") * 100)
