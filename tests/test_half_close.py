"""A peer that half-closes gets all that it is owed, and then the end of the stream."""

import socket
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from conversation import (ask, conversations, converse, distinct_data, exchange, expect_end,
                          push_until_stuck, random_bytes, random_pieces, receive)
from expect import PATIENCE, expect_same
from server_process import EchoServer, scaled

OWED = [0, 1, 4095, 64 << 10, 8 << 20]


@pytest.mark.every_rung
@pytest.mark.parametrize("owed", OWED)
def test_all_that_is_owed_and_then_the_end(server: EchoServer, owed: int) -> None:
    at_rest = server.fds()
    connection = server.connect()
    data = random_bytes(owed)
    exchange(connection, data, random_pieces(data, owed), end=True)
    expect_end(connection)
    server.await_fds(at_rest)


@pytest.mark.every_rung
@pytest.mark.parametrize("owed", OWED)
def test_reader_who_begins_after_the_half_close(server: EchoServer, owed: int) -> None:
    """The kernel holds what fits, the server a little, and the rest has to wait in the sender."""
    connection = server.connect(slow=True)
    data = random_bytes(owed)

    def write() -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    with ThreadPoolExecutor(1) as background:
        writing = background.submit(write)
        if owed < 64 << 10:
            writing.result(PATIENCE)
        else:  # a part of it is stuck by now, most likely
            wait([writing], timeout=0.1)
        received = receive(connection, owed)
        writing.result(PATIENCE)
    expect_same(received, data)
    expect_end(connection)


@pytest.mark.every_rung
@pytest.mark.parametrize("owed", [0, 1, 4095, 64 << 10])
def test_data_and_end_found_together(server: EchoServer, owed: int) -> None:
    """Data and FIN lie in the socket before the server looks at it for the next time."""
    connection = server.connect()
    ask(connection)
    data = random_bytes(owed)
    server.pause()
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    server.go_on()
    expect_same(receive(connection, owed), data)
    expect_end(connection)


@pytest.mark.every_rung
def test_connection_that_comes_with_data_and_end(server: EchoServer) -> None:
    """All of it is there before the server accepts."""
    server.pause()
    connection = server.connect()
    connection.sendall(b"Hello, world!")
    connection.shutdown(socket.SHUT_WR)
    server.go_on()
    expect_same(receive(connection, 13), b"Hello, world!")
    expect_end(connection)


@pytest.mark.every_rung
def test_the_end_comes_while_the_server_is_stuck(server: EchoServer) -> None:
    """Amounts in steps of less than what a server may hold of its own, so that some of the ends
    arrive while it holds the last bytes and can't get rid of them."""
    step = 32 << 10
    peers = conversations(server.connect_many(48, slow=True), 48 * step)
    for number, peer in enumerate(peers):
        peer.data = peer.data[:(number + 1) * step]
    push_until_stuck(peers)
    stuck = [peer for peer in peers if not peer.is_sent()]
    for peer in peers:
        if peer not in stuck:
            peer.connection.shutdown(socket.SHUT_WR)
    converse(peers)
    for peer in stuck:
        peer.connection.shutdown(socket.SHUT_WR)
    for peer in peers:
        peer.connection.settimeout(PATIENCE)
        expect_end(peer.connection)


def test_many_half_close_at_once(server: EchoServer) -> None:
    at_rest = server.fds()
    connections = server.connect_many(scaled(500))
    data = distinct_data(len(connections), 5000)
    for connection, due in zip(connections, data):
        connection.sendall(due)
        connection.shutdown(socket.SHUT_WR)
    for connection, due in zip(connections, data):
        expect_same(receive(connection, len(due)), due)
        expect_end(connection)
    server.await_fds(at_rest)
