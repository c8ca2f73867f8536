"""What a node with --sign does to lines: the reply proves the route."""

import signal
import socket

import pytest

from chain import address_of, start_chain
from conversation import (Conversation, ask, expect_closed, expect_end, push_until_stuck,
                          receive)
from expect import wait_until
from server_process import SANITIZER, RunProgram, StartServer

NAMES = ["alice", "bob", "carol"]


def lines_through(connection: socket.socket, text: bytes) -> bytes:
    """All that comes back for this stream."""
    connection.sendall(text)
    connection.shutdown(socket.SHUT_WR)
    received = bytearray()
    while piece := connection.recv(1 << 16):
        received += piece
    return bytes(received)


def test_echo_signs_each_line(start_server: StartServer) -> None:
    connection = start_server("--sign=alice").connect()
    assert lines_through(connection, b"one\ntwo\r\n\nlast") == (
        b"one > alice\ntwo > alice\r\n > alice\nlast > alice")


def test_line_may_come_in_pieces(start_server: StartServer) -> None:
    connection = start_server("--sign=alice").connect()
    connection.sendall(b"hel")
    assert receive(connection, 3) == b"hel"
    connection.sendall(b"lo\nagain\n")
    assert receive(connection, 25) == b"lo > alice\nagain > alice\n"


@pytest.mark.relays
def test_reply_proves_the_route(start_server: StartServer, run_program: RunProgram) -> None:
    nodes = start_chain(start_server, 3, NAMES)
    said = run_program("echo-client", address_of(nodes[0]), "hello", "good bye")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == "hello > alice > bob > carol\ngood bye > alice > bob > carol\n"


@pytest.mark.relays
def test_chain_of_16(start_server: StartServer, run_program: RunProgram) -> None:
    names = [f"node{number}" for number in range(1, 17)]
    nodes = start_chain(start_server, 16, names)
    said = run_program("echo-client", address_of(nodes[0]), "hello")
    assert said.stdout == " > ".join(["hello", *names]) + "\n"


def test_many_lines_come_back_signed(start_server: StartServer) -> None:
    """Far more comes back than was sent, in pieces that the server makes one after the other."""
    connection = start_server("--sign=a-rather-long-name").connect()
    count = 100_000
    connection.settimeout(60)
    sent = 0
    received = bytearray()
    while sent < count:
        connection.sendall(b"\n" * 1000)
        sent += 1000
        received += receive(connection, 1000 * len(b" > a-rather-long-name\n"))
    assert bytes(received) == b" > a-rather-long-name\n" * count


def test_signed_bytes_outlive_a_server_that_gives_up(start_server: StartServer) -> None:
    """Who does not read is given up, and what it is being sent stands until its connection has
    ended: a sanitizer sees it where it does not."""
    server = start_server("--sign=al", "--drain-timeout=100ms")
    stuck = server.connect_many(4, slow=True)
    push_until_stuck([Conversation(connection, b"\n" * (8 << 20)) for connection in stuck])
    server.send_signal(signal.SIGTERM)
    assert server.await_exit(20) == 0, server.stderr()


@pytest.mark.skipif(bool(SANITIZER), reason="the sanitizer keeps freed memory")
def test_flood_of_lines_costs_little_memory(start_server: StartServer) -> None:
    server = start_server("--sign=" + "n" * 64)
    connection = server.connect()
    ask_signed(connection, b"warm\n", b"warm > " + b"n" * 64 + b"\n")
    before = server.resident_bytes()
    flood = b"\n" * (1 << 20)
    connection.settimeout(1)
    try:
        for _ in range(64):
            connection.sendall(flood)
    except TimeoutError:
        pass  # nobody reads, so it is stuck, as it should be
    assert server.resident_bytes() < before + (1 << 20)


def ask_signed(connection: socket.socket, line: bytes, reply: bytes) -> None:
    connection.sendall(line)
    assert receive(connection, len(reply)) == reply


def test_signed_bytes_stay_put_while_others_arrive(start_server: StartServer) -> None:
    """What is being sent must not move when the server makes room for more clients: lines that
    wait to be answered, and after them, in the same batch, many who connect."""
    server = start_server("--sign=al")
    for _ in range(5):
        early = server.connect_many(40)
        for connection in early:
            ask_signed(connection, b"warm\n", b"warm > al\n")
        server.pause()
        for number, connection in enumerate(early):
            connection.sendall(b"line %d\n" % number)
        late = server.connect_many(300)
        server.go_on()
        for number, connection in enumerate(early):
            reply = b"line %d > al\n" % number
            assert receive(connection, len(reply)) == reply
        for connection in late:
            ask_signed(connection, b"late\n", b"late > al\n")


def test_too_long_a_line_closes_that_connection_only(start_server: StartServer) -> None:
    server = start_server("--sign=alice")
    other = server.connect()
    ask_signed(other, b"x" * 65536 + b"\n", b"x" * 65536 + b" > alice\n")
    connection = server.connect()
    connection.sendall(b"x" * 65537)
    received = 0
    try:
        while piece := connection.recv(1 << 16):
            received += len(piece)
    except ConnectionResetError:
        pass
    assert received <= 65537
    wait_until(lambda: "a line was longer than 65536 bytes" in server.stderr(),
               lambda: f"expected the reason on stderr, got {server.stderr()!r}")
    ask_signed(other, b"still here\n", b"still here > alice\n")


@pytest.mark.relays
def test_too_long_a_line_closes_its_way_through_a_relay(start_server: StartServer) -> None:
    echo = start_server()
    at_rest = echo.fds()
    node = start_server("--sign=alice", f"--relay={address_of(echo)}")
    connection = node.connect()
    connection.sendall(b"x" * 70_000)
    received = 0
    try:
        while piece := connection.recv(1 << 16):
            received += len(piece)
    except ConnectionResetError:
        pass
    echo.await_fds(at_rest)


@pytest.mark.relays
@pytest.mark.parametrize("load", [["-n", "100000"], ["-c", "50", "-d", "30s"],
                                  ["-c", "8", "-p", "16", "-s", "1000", "-d", "30s"]])
def test_loadgen_refuses_a_signing_chain(start_server: StartServer, run_program: RunProgram,
                                         load: list[str]) -> None:
    nodes = start_chain(start_server, 2, NAMES)
    ended = run_program("loadgen", address_of(nodes[0]), *load)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert len(ended.stderr.splitlines()) == 1 and "--sign" in ended.stderr, ended.stderr


@pytest.mark.parametrize("name", ["", "a b", "a>b", "a\nb", "x" * 65, "tab\tbed"])
def test_bad_name(run_program: RunProgram, name: str) -> None:
    ended = run_program("echo-server", "--port=0", f"--sign={name}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--sign" in ended.stderr and len(ended.stderr.splitlines()) == 1


def test_name_may_be_of_any_language(start_server: StartServer) -> None:
    connection = start_server("--sign=Jürgen").connect()
    assert lines_through(connection, b"hello\n") == "hello > Jürgen\n".encode()


def test_silent_client_is_told_the_end(start_server: StartServer) -> None:
    connection = start_server("--sign=alice").connect()
    connection.shutdown(socket.SHUT_WR)
    expect_end(connection)


def test_plain_server_signs_nothing(start_server: StartServer) -> None:
    server = start_server()
    ask(server.connect(), b"hello\n")
    connection = server.connect()
    connection.shutdown(socket.SHUT_WR)
    expect_closed(connection)
