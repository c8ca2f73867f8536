"""What the server does at its limits: of connections, of silence, of CPU time."""

import os
import time

import pytest

from at_rest import cpu_share
from conversation import ask, expect_closed, expect_end, readable
from expect import PATIENCE, wait_until
from server_process import StartServer


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
