"""How the server ends, and what does not end it."""

import fcntl
import os
import signal
import socket
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from conversation import (Conversation, ask, conversations, converse, distinct_data, expect_end,
                          greedy_peers, push_until_stuck, random_bytes, receive, reset)
from evidence import Evidence
from expect import PATIENCE, expect_same, wait_until
from server_process import Backend, EchoServer, StartServer

KIB = 1024
MIB = 1024 * KIB
ENDING = [signal.SIGTERM, signal.SIGINT]
LATE = b"too late"
AT_ONCE = 5  # seconds, where the default of --drain-timeout is 10


def unacknowledged(connection: socket.socket) -> int:
    """SIOCOUTQ, tcp(7): bytes that the server's host has not received yet."""
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])


def peers_that_are_owed(server: EchoServer) -> list[Conversation]:
    """Slow readers of whom the server's host has received everything. What they are owed lies in
    the kernel's send buffer, in the server's own memory, or not yet read: the amounts grow in steps
    smaller than what a server may hold, so there are some of each."""
    step = 32 * KIB
    peers = conversations(server.connect_many(40, slow=True), 40 * step, "slow reader")
    for number, peer in enumerate(peers):
        peer.data = peer.data[:(number + 1) * step]
    push_until_stuck(peers)
    owed = [peer for peer in peers if peer.is_sent() and not unacknowledged(peer.connection)]
    for peer in peers:
        if peer not in owed:
            reset(peer.connection)
    assert len(owed) >= 5, f"expected the host to receive more, it did from {len(owed)} peers"
    return owed


def read_to_the_end(peers: Sequence[Conversation]) -> None:
    converse(peers)
    for peer in peers:
        peer.connection.settimeout(PATIENCE)
        expect_end(peer.connection)


def receive_to_the_end(connection: socket.socket) -> bytes:
    """All that there is, whatever ends it."""
    connection.settimeout(PATIENCE)
    received = bytearray()
    with suppress(ConnectionError):
        while piece := connection.recv(MIB):
            received += piece
    return bytes(received)


@pytest.mark.every_rung
@pytest.mark.parametrize("number", ENDING)
def test_what_is_owed_is_flushed(server: EchoServer, number: signal.Signals) -> None:
    peers = peers_that_are_owed(server)
    server.send_signal(number)
    read_to_the_end(peers)
    assert server.await_exit(AT_ONCE) == 0


def test_what_is_owed_after_a_half_close_is_flushed(server: EchoServer) -> None:
    peers = peers_that_are_owed(server)
    for peer in peers:
        peer.connection.shutdown(socket.SHUT_WR)
    server.send_signal(signal.SIGTERM)
    read_to_the_end(peers)
    assert server.await_exit(AT_ONCE) == 0


def test_who_goes_on_sending_loses_nothing_of_what_came(server: EchoServer) -> None:
    """Bytes that meet a closed connection are answered with a reset, and that discards what is
    still on its way back."""
    peers = peers_that_are_owed(server)
    server.send_signal(signal.SIGTERM)
    for _ in range(20):
        time.sleep(0.01)
        for peer in peers:
            with suppress(OSError):
                peer.connection.send(LATE, socket.MSG_DONTWAIT)
    for peer in peers:
        came = bytes(peer.data)
        received = receive_to_the_end(peer.connection)
        assert len(received) >= len(came), f"{peer}: {len(came) - len(received)} bytes are lost"
        expect_same(received, (came + 20 * LATE)[:len(received)], str(peer))
    assert server.await_exit(AT_ONCE) == 0


@pytest.mark.every_rung
def test_messages_that_came_before_the_signal_are_answered(server: EchoServer) -> None:
    connections = server.connect_many(100)
    for connection in connections:
        ask(connection)
    server.pause()
    data = distinct_data(len(connections), 20 * KIB)
    for connection, message in zip(connections, data):
        connection.sendall(message)
    server.send_signal(signal.SIGTERM)
    server.go_on()
    for connection, message in zip(connections, data):
        expect_same(receive(connection, len(message)), message)
        expect_end(connection)
    assert server.await_exit(AT_ONCE) == 0


def test_nobody_new_is_accepted(start_server: StartServer) -> None:
    server = start_server("--drain-timeout=60s")
    greedy_peers([server.connect(slow=True)])
    server.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses(server), "expected connections to be refused after SIGTERM")
    assert not server.has_ended(), "expected the server to wait for the one who reads nothing"


def refuses(server: EchoServer) -> bool:
    try:
        server.connect().close()
    except ConnectionError:
        return True
    return False


@pytest.mark.every_rung
@pytest.mark.parametrize("number", ENDING)
def test_idle_connections_hold_nothing_up(server: EchoServer, number: signal.Signals) -> None:
    connections = server.connect_many(20)
    for connection in connections:
        ask(connection)
    server.send_signal(number)
    assert server.await_exit(AT_ONCE) == 0
    for connection in connections:
        expect_end(connection)


def test_without_connections_it_ends_at_once(server: EchoServer) -> None:
    server.send_signal(signal.SIGTERM)
    assert server.await_exit(AT_ONCE) == 0
    assert server.stderr() == "" or server.backend != "epoll", "expected nothing to be said"


def test_stuck_reader_is_given_up_after_the_drain_timeout(start_server: StartServer,
                                                          evidence: Evidence) -> None:
    server = start_server("--drain-timeout=300ms")
    greedy_peers([server.connect(slow=True)])
    start = time.monotonic()
    server.send_signal(signal.SIGTERM)
    assert server.await_exit(AT_ONCE) == 0
    took = time.monotonic() - start
    assert took > 0.2, f"expected to wait 300 ms for the stuck reader, it took {took * 1e3:.0f} ms"
    evidence("signals", stuck_readers=1, drain_timeout_ms=300, ended_after_ms=round(took * 1000))


@pytest.mark.parametrize("number", ENDING)
def test_second_signal_ends_at_once(start_server: StartServer, number: signal.Signals,
                                    evidence: Evidence) -> None:
    server = start_server("--drain-timeout=60s")
    greedy_peers([server.connect(slow=True)])
    server.send_signal(number)
    wait_until(lambda: refuses(server), "expected connections to be refused after the signal")
    start = time.monotonic()
    server.send_signal(number)
    code = server.await_exit(AT_ONCE)
    took = time.monotonic() - start
    assert code == 128 + number, f"expected exit code {128 + number} (interrupted), got {code}"
    evidence("signals", second_signals=1, drain_timeout_ms=60_000,
             ended_after_ms=round(took * 1000))


def test_sigusr1_prints_counters_and_goes_on(server: EchoServer) -> None:
    connections = server.connect_many(7)
    for connection in connections:
        ask(connection, b"x" * 11)
    counters = server.counters()
    seen = {name: counters.get(name) for name in ("open", "accepted", "bytes")}
    assert seen == {"open": 7, "accepted": 7, "bytes": 77}, f"among {counters}"
    ask(connections[0])


def test_sigpipe_is_no_crash(server: EchoServer) -> None:
    connection = server.connect()
    ask(connection)
    server.send_signal(signal.SIGPIPE)
    for _ in range(20):
        rude = server.connect()
        rude.sendall(random_bytes(64 * KIB))
        reset(rude)
    ask(connection)


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that is ours and that a server with SO_REUSEADDR may yet listen on."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def close_stdout() -> None:
    os.close(1)


def break_stdout() -> None:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(reader)


@pytest.mark.parametrize("lose_stdout", [close_stdout, break_stdout])
def test_lost_stdout_is_no_crash(launch: StartServer, server: EchoServer, backend: Backend,
                                 lose_stdout: StartServer) -> None:
    """`server` is here to skip where there is no such backend: without stdout nobody says so."""
    with reserved_port() as port:
        mute = launch(f"--backend={backend.name}", f"--port={port}", before_exec=lose_stdout,
                      await_line=False)
        mute.host, mute.port = "127.0.0.1", port
        wait_until(lambda: mute.has_ended() or not refuses(mute),
                   "expected a server that lost its stdout to listen or to end")
        assert not mute.has_ended(), (
            f"expected it to serve, it ended with {mute.process.returncode}: {mute.stderr()!r}")
        ask(mute.connect())


def test_lost_stderr_is_no_crash(start_server: StartServer, server: EchoServer) -> None:
    """`server` is here to skip with a reason where there is no such backend."""
    reader, writer = os.pipe()

    def write_into_the_pipe() -> None:
        os.dup2(writer, 2)

    mute = start_server(before_exec=write_into_the_pipe)
    os.close(writer)
    os.close(reader)
    connection = mute.connect()
    for _ in range(3):
        mute.send_signal(signal.SIGUSR1)
        ask(connection)
    ask(mute.connect())
