"""Connections that come and go, by the thousand and by reset, leave nothing behind and harm no
other."""

import socket
from pathlib import Path

import pytest

from conversation import (ask, conversations, converse, expect_end, greedy_peers, random_bytes,
                          receive, reset)
from expect import expect_same
from server_process import (SANITIZER, Backend, EchoServer, RunProgram, StartServer,
                            scaled)

KIB = 1024
MIB = 1024 * KIB


@pytest.mark.every_rung
def test_reset_in_mid_message_ends_only_that_connection(server: EchoServer) -> None:
    at_rest = server.fds()
    staying = conversations(server.connect_many(50), 200 * KIB)
    leaving = server.connect_many(50)
    for peer in staying:
        peer.push(100 * KIB)
    for connection in leaving:
        connection.sendall(random_bytes(50 * KIB))
        receive(connection, KIB)
        reset(connection)
    converse(staying)
    server.await_fds(at_rest + len(staying))
    for peer in staying:
        peer.connection.close()
    server.await_fds(at_rest)


@pytest.mark.every_rung
def test_reset_by_a_peer_to_whom_bytes_are_owed(server: EchoServer) -> None:
    at_rest = server.fds()
    bystander = server.connect()
    for peer in greedy_peers(server.connect_many(10, slow=True)):
        reset(peer.connection)
    ask(bystander)
    server.await_fds(at_rest + 1)


@pytest.mark.every_rung
def test_reset_before_the_server_looks(server: EchoServer) -> None:
    at_rest = server.fds()
    server.pause()
    for _ in range(100):
        connection = server.connect()
        connection.sendall(b"nobody will read the answer")
        reset(connection)
    server.go_on()
    ask(server.connect())
    server.await_fds(at_rest + 1)


@pytest.mark.every_rung
def test_who_takes_the_place_of_a_reset_connection_sees_only_its_own(server: EchoServer) -> None:
    """Descriptors and slots are used again at once, while completions may still be on their way."""
    for _ in range(scaled(20)):
        for connection in server.connect_many(20):
            connection.setblocking(False)
            connection.send(b"\xee" * 100 * KIB)
            reset(connection)
        converse(conversations(server.connect_many(20), 30 * KIB))


@pytest.mark.every_rung
def test_stopped_server_answers_all_when_it_goes_on(server: EchoServer) -> None:
    somaxconn = int(Path("/proc/sys/net/core/somaxconn").read_text())
    connections = server.connect_many(300)
    for connection in connections:
        ask(connection)
    server.pause()
    connections += server.connect_many(min(300, somaxconn))
    peers = conversations(connections, 40 * KIB)
    for peer in peers:
        peer.push()
    server.go_on()
    converse(peers)


def come_and_go(server: EchoServer, count: int) -> None:
    """A third each: closed after the answer, reset after the answer, half-closed until the end."""
    connections = server.connect_many(count)
    message = random_bytes(100)
    for connection in connections:
        connection.sendall(message)
    for number, connection in enumerate(connections):
        expect_same(receive(connection, len(message)), message, f"connection {number}")
        if number % 3 == 0:
            reset(connection)
        elif number % 3 == 1:
            connection.shutdown(socket.SHUT_WR)
            expect_end(connection)
        connection.close()


@pytest.mark.every_rung
def test_ten_thousand_connections_leave_nothing_behind(server: EchoServer,
                                                       backend: Backend) -> None:
    wave = 500
    at_rest = server.fds()
    come_and_go(server, wave)  # tables grow to the size of a wave and stay so
    server.await_fds(at_rest)
    before = server.resident_bytes()
    for _ in range(scaled(2_000 if backend.without else 10_000) // wave):
        come_and_go(server, wave)
    server.await_fds(at_rest)
    grown = server.resident_bytes() - before
    # libc keeps stacks of threads that have ended, as many as there were at once: up to a wave.
    allowed = MIB if backend.name != "blocking" else wave * 16 * KIB
    assert SANITIZER or grown <= allowed, (
        f"expected the memory of the server to be what it was, it grew by {grown // KIB} KiB")


# ---- several servers on one port

def test_processes_share_a_port(start_server: StartServer, launch: StartServer,
                                backend: Backend) -> None:
    first = start_server("--reuse-port")
    second = launch(f"--backend={backend.name}", f"--port={first.port}", "--reuse-port")
    for connection in first.connect_many(64):
        ask(connection)
    shares = [server.counters()["accepted"] for server in (first, second)]
    assert sum(shares) == 64
    assert min(shares) > 0, f"expected the kernel to give both some of 64 connections: {shares}"


def test_a_port_is_shared_only_by_those_who_say_so(start_server: StartServer,
                                                   run_program: RunProgram) -> None:
    server = start_server()
    ended = run_program("echo-server", f"--port={server.port}", "--reuse-port")
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr
