"""A server that is told to end with a thousand connections in flight: what it has taken comes back,
all of it, and it ends with 0 before its time is up."""

import signal
import time
from collections.abc import Sequence

from conversation import (Conversation, Ended, ask, conversations, distinct_data, expect_end,
                          receive)
from evidence import Evidence
from expect import expect_same
from scale import tries
from server_process import StartServer, scaled

KIB = 1024
DRAINS = tries(1, 100)
CONNECTIONS = scaled(tries(200, 1000))
LIMIT = 60  # seconds of --drain-timeout: that no drain should need


def drain(start_server: StartServer) -> int:
    """Everyone has a message in the server's kernel, unread, when the signal comes; some have had
    others before. Returns the bytes that came back after the signal."""
    server = start_server(f"--drain-timeout={LIMIT}s")
    connections = server.connect_many(CONNECTIONS)
    for connection in connections[::2]:
        ask(connection)
    for connection in connections[1::2]:
        ask(connection, b"x" * 3000)
    server.pause()
    longest = distinct_data(len(connections), 20 * KIB)
    data = [message[:1 + 1009 * number % len(message)] for number, message in enumerate(longest)]
    for connection, message in zip(connections, data):
        connection.sendall(message)
    server.send_signal(signal.SIGTERM)
    server.go_on()
    for number, (connection, message) in enumerate(zip(connections, data)):
        expect_same(receive(connection, len(message)), message, f"connection {number}")
        expect_end(connection)
        connection.close()
    code = server.await_exit(LIMIT)
    assert code == 0, f"expected exit code 0, got {code}: {server.stderr()!r}"
    return sum(map(len, data))


def test_what_was_taken_comes_back(start_server: StartServer, evidence: Evidence) -> None:
    returned = sum(drain(start_server) for _ in range(DRAINS))
    evidence("signals", drains=DRAINS, connections=DRAINS * CONNECTIONS,
             bytes_owed=returned, bytes_lost=0)


def talk_until_the_end(peers: Sequence[Conversation]) -> int:
    """Each sends on, and compares what comes back, until it is told that this is the end."""
    talking = list(peers)
    give_up = time.monotonic() + LIMIT
    while talking:
        assert time.monotonic() < give_up, f"expected an end for all, {len(talking)} have none"
        for peer in list(talking):
            try:
                peer.pull()
                peer.push(4 * KIB)
            except Ended:
                talking.remove(peer)
    return sum(peer.received for peer in peers)


def test_what_came_back_is_the_beginning_of_what_was_sent(start_server: StartServer,
                                                          evidence: Evidence) -> None:
    """For those too who go on sending when it is told to end."""
    server = start_server("--drain-timeout=10s")
    peers = conversations(server.connect_many(scaled(100)), 8 << 20)
    for peer in peers:
        peer.push(100 * KIB)
    server.send_signal(signal.SIGTERM)
    received = talk_until_the_end(peers)
    assert received > 0, "expected some of it to come back"
    code = server.await_exit(LIMIT)
    assert code == 0, f"expected exit code 0, got {code}: {server.stderr()!r}"
    evidence("signals", drains=1, connections_that_go_on=len(peers), bytes_checked=received,
             bytes_wrong=0)
