"""Every byte comes back, once and in order: whatever the size, the pieces and the company."""

import socket
import time

import pytest

from conversation import (ask, conversations, converse, exchange, random_bytes, random_pieces,
                          receive)
from expect import expect_same
from server_process import EchoServer, scaled

KIB = 1024
MIB = 1024 * KIB


@pytest.mark.every_rung
@pytest.mark.parametrize("size", [1, 2, 64, 4095, 4096, 4097, 64 * KIB, MIB + 1])
def test_one_message(server: EchoServer, size: int) -> None:
    data = random_bytes(size)
    exchange(server.connect(), data, [data])


@pytest.mark.every_rung
def test_64_mib_in_random_pieces(server: EchoServer) -> None:
    data = random_bytes(64 * MIB)
    exchange(server.connect(), data, random_pieces(data, seed=1))


@pytest.mark.every_rung
def test_byte_by_byte(server: EchoServer) -> None:
    data = random_bytes(scaled(5000))
    exchange(server.connect(), data, [data[i:i + 1] for i in range(len(data))])


@pytest.mark.every_rung
def test_message_after_message(server: EchoServer) -> None:
    connection = server.connect()
    for number in range(scaled(2000)):
        ask(connection, number.to_bytes(8, "big"))


@pytest.mark.every_rung
def test_thousand_connections_at_once(server: EchoServer) -> None:
    converse(conversations(server.connect_many(1000), 10 * KIB))


def test_second_of_two_answers_is_not_held_back(server: EchoServer) -> None:
    """Without TCP_NODELAY it waits for the delayed ACK of the first, 40 ms and more. That there are
    two is the doing of the urgent mark, where a read ends short."""
    connection = server.connect()
    times = []
    for _ in range(20):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        server.pause()
        start = time.monotonic()
        connection.sendall(b"first")
        connection.send(b"!", socket.MSG_OOB)
        connection.sendall(b"second")
        server.go_on()
        receive(connection, 12)
        times.append(time.monotonic() - start)
    assert min(times) < 0.03, (
        f"expected two answers at once, the fastest of {len(times)} took {min(times) * 1e3:.0f} ms")


@pytest.mark.every_rung
@pytest.mark.parametrize("already_there", [False, True], ids=["as-it-comes", "already-there"])
def test_urgent_data_stays_in_the_stream(server: EchoServer, already_there: bool) -> None:
    """A read ends short at the urgent mark (tcp(7)): a short read is not an empty socket."""
    connection = server.connect()
    ask(connection)
    if already_there:
        server.pause()
    pieces = [random_bytes(1000) for _ in range(20)]
    for piece in pieces:
        connection.sendall(piece)
        connection.send(b"!", socket.MSG_OOB)
    connection.sendall(b"the end")
    server.go_on()
    due = b"".join(piece + b"!" for piece in pieces) + b"the end"
    expect_same(receive(connection, len(due)), due)
    ask(connection)


@pytest.mark.every_rung
def test_urgent_mark_in_every_message(server: EchoServer) -> None:
    """Every receive ends at a mark, with the rest of the message behind it. A multishot receive of
    io_uring may not go on there by itself (Linux 6.18): no arrival wakes it for what has come."""
    connection = server.connect()
    for _ in range(scaled(2000)):
        connection.sendall(b"first")
        connection.send(b"!", socket.MSG_OOB)
        connection.sendall(b"second")
        expect_same(receive(connection, 12), b"first!second")
