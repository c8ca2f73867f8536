"""Half-closes by the thousand, with nothing to much owed: everybody gets all of it and then FIN,
and nobody else notices."""

import socket
from collections.abc import Sequence

from at_rest import Baseline
from conversation import (Conversation, conversations, converse, distinct_data, exchange,
                          expect_end, receive)
from evidence import Evidence
from expect import expect_same
from scale import tries
from server_process import EchoServer, scaled

KIB = 1024
MIB = 1024 * KIB
OWED = [0, 1, 4095, 64 * KIB]
WAVE = 100
BYSTANDERS = 10


def half_close_many(server: EchoServer) -> int:
    """All send and half-close before anyone reads; returns the bytes that were owed."""
    connections = server.connect_many(WAVE)
    longest = distinct_data(WAVE, max(OWED))
    data = [longest[number][:OWED[number % len(OWED)]] for number in range(WAVE)]
    for connection, due in zip(connections, data):
        connection.sendall(due)
        connection.shutdown(socket.SHUT_WR)
    for number, (connection, due) in enumerate(zip(connections, data)):
        expect_same(receive(connection, len(due)), due, f"connection {number}")
        expect_end(connection)
        connection.close()
    return sum(map(len, data))


def half_close_behind_much(server: EchoServer, data: memoryview) -> int:
    """The half-close follows the last byte at once, with a few megabytes still under way."""
    connection = server.connect()
    exchange(connection, bytes(data), [data], end=True)
    expect_end(connection)
    connection.close()
    return len(data)


def move_on(bystanders: Sequence[Conversation]) -> None:
    for peer in bystanders:
        peer.pull()
        peer.push(4 * KIB)


def test_all_that_is_owed_and_then_fin(server: EchoServer, evidence: Evidence) -> None:
    at_rest = server.fds()
    count = scaled(tries(1_000, 10_000)) // WAVE * WAVE
    large = tries(2, 100)
    much = distinct_data(1, 8 * MIB)[0]
    half_close_many(server)
    half_close_behind_much(server, much)
    server.await_fds(at_rest)
    baseline = Baseline(server, at_once=WAVE)

    bystanders = conversations(server.connect_many(BYSTANDERS), 512 * KIB, "bystander")
    owed = 0
    for _ in range(count // WAVE):
        move_on(bystanders)
        owed += half_close_many(server)
    for _ in range(large):
        move_on(bystanders)
        owed += half_close_behind_much(server, much)
    converse(bystanders)
    for peer in bystanders:
        peer.connection.close()
    baseline.expect_again()
    evidence("half-close", half_closes=count, with_8_mib_owed=large, bytes_owed=owed, bytes_lost=0,
             bystanders=BYSTANDERS, bystanders_lost=0)
