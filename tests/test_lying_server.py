"""The lying server does what its faults say: else the tests of loadgen that need it say nothing."""

import random
import socket

import pytest

from loadgen_fixtures import Server, lying_server

SIZE = 16


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def messages(count: int, seed: int = 7) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(SIZE) for _ in range(count)]


def read_exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count and (piece := connection.recv(count - len(data))):
        data += piece
    return bytes(data)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


def converse(server: Server, sent: list[bytes]) -> bytes:
    """Sends everything and half-closes; what came back until EOF."""
    with connect(server) as connection:
        connection.sendall(b"".join(sent))
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


@pytest.mark.parametrize("fault", ["none", "dribble", "delay"])
def test_the_honest_ones_return_every_byte(fault: str) -> None:
    sent = messages(100)
    with lying_server(fault, size=SIZE) as server:
        assert converse(server, sent) == b"".join(sent)
    assert (server.injected, server.bytes_received, server.connections) == (0, 1600, 1)


def test_one_bit_in_a_million() -> None:
    sent = random.Random(5).randbytes(3_000_000)
    with lying_server("flip", seed=3) as server, connect(server) as connection:
        received = bytearray()
        for start in range(0, len(sent), 30_000):
            connection.sendall(sent[start:start + 30_000])
            wanted = start + 30_000
            while len(received) < wanted:
                received += connection.recv(65536)
    wrong = [(at, bin(a ^ b).count("1")) for at, (a, b) in enumerate(zip(sent, received)) if a != b]
    assert server.injected == 3
    assert [bits for _, bits in wrong] == [1, 1, 1]
    assert {later[0] - earlier[0] for earlier, later in zip(wrong, wrong[1:])} == {1_000_000}


def test_a_seed_repeats_and_another_differs() -> None:
    def noise(seed: int) -> bytes:
        with lying_server("garble", size=SIZE, every=10, seed=seed) as server:
            return converse(server, messages(50))

    assert noise(1) == noise(1) != noise(2)


@pytest.mark.parametrize("fault,expected", [
    ("drop", [0, 1, 3, 4, 5]),
    ("duplicate", [0, 1, 2, 2, 3, 4, 5]),
    ("swap", [0, 1, 3, 2, 4, 5]),
])
def test_faults_of_order(fault: str, expected: list[int]) -> None:
    sent = messages(6)
    with lying_server(fault, size=SIZE, at=2, every=0) as server:
        assert converse(server, sent) == b"".join(sent[index] for index in expected)
    assert server.injected == 1


def test_every_repeats_the_fault() -> None:
    sent = messages(10)
    with lying_server("drop", size=SIZE, at=1, every=3) as server:
        received = converse(server, sent)
    assert received == b"".join(m for index, m in enumerate(sent) if index % 3 != 1)
    assert server.injected == 3


@pytest.mark.parametrize("seed", range(4))
def test_truncate_takes_one_piece_out(seed: int) -> None:
    sent = messages(4)
    with lying_server("truncate", size=SIZE, at=1, every=0, seed=seed) as server:
        received = converse(server, sent)
    gone = 4 * SIZE - len(received)
    assert 1 <= gone <= SIZE // 2
    whole = b"".join(sent)
    assert any(whole[:start] + whole[start + gone:] == received
               for start in range(SIZE, 2 * SIZE - gone + 1))


def test_garble_keeps_the_length() -> None:
    sent = messages(3)
    with lying_server("garble", size=SIZE, at=1, every=0) as server:
        received = converse(server, sent)
    assert received[:SIZE] == sent[0] and received[2 * SIZE:] == sent[2]
    assert received[SIZE:2 * SIZE] != sent[1] and len(received) == 3 * SIZE


def test_extra_follows_a_reply() -> None:
    sent = messages(2)
    with lying_server("extra", size=SIZE, at=0, every=0) as server:
        received = converse(server, sent)
    assert len(received) > 2 * SIZE and received.startswith(sent[0])


def test_banner_comes_unasked() -> None:
    with lying_server("banner") as server, connect(server) as connection:
        assert connection.recv(100) == b"220 ready\r\n"
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"


def test_foreign_swaps_two_connections() -> None:
    with lying_server("foreign", size=2, at=1, every=0) as server, \
            connect(server) as one, connect(server) as other:
        one.sendall(b"a1")
        assert read_exactly(one, 2) == b"a1"
        one.sendall(b"a2a3")  # a2 is held, and a3 behind it
        other.sendall(b"b1b2")
        assert read_exactly(one, 4) == b"b1a3"
        assert read_exactly(other, 4) == b"a2b2"


@pytest.mark.parametrize("fault,expected", [("close", b"abcd"), ("close-inside", b"abcde")])
def test_close_is_a_fin(fault: str, expected: bytes) -> None:
    with lying_server(fault, size=4, at=1, every=0) as server, connect(server) as connection:
        connection.sendall(b"abcdefghijkl")
        received = read_all(connection)
    assert received.startswith(expected) and len(received) < 8


def test_reset_is_a_reset() -> None:
    with lying_server("reset", size=4, at=0, every=0) as server, connect(server) as connection:
        connection.sendall(b"abcd")
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_close_on_accept() -> None:
    with lying_server("close-on-accept") as server, connect(server) as connection:
        assert connection.recv(100) == b""


@pytest.mark.parametrize("fault", ["stall", "discard"])
def test_the_silent_ones(fault: str) -> None:
    with lying_server(fault) as server, connect(server) as connection:
        connection.setblocking(False)
        sent = 0
        while sent < 50_000_000:  # more than all buffers between the two
            try:
                sent += connection.send(bytes(100_000))
            except BlockingIOError:
                if fault == "stall":
                    break
        with pytest.raises(BlockingIOError):
            connection.recv(100)
        assert (sent < 50_000_000) == (fault == "stall")


def test_chargen_never_ends() -> None:
    with lying_server("chargen") as server, connect(server) as connection:
        assert len(read_exactly(connection, 10_000_000)) == 10_000_000
