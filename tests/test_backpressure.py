"""A peer that sends and does not read costs a bounded amount of memory and slows nobody else."""

import time

import pytest

from conversation import ask, converse, exchange, greedy_peers, random_bytes
from server_process import SANITIZER, Backend, EchoServer

KIB = 1024
MIB = 1024 * KIB
HELD_PER_PEER = 64 * KIB
SLACK = 4 * MIB
AT_ONCE = 5.0  # seconds: an order of magnitude, a starved peer would wait for ever


def expect_answer_at_once(server: EchoServer, what: str) -> None:
    """From a connection made now, for a small message and for a large one."""
    message = random_bytes(MIB)
    start = time.monotonic()
    connection = server.connect()
    ask(connection)
    exchange(connection, message, [message])
    elapsed = time.monotonic() - start
    assert elapsed < AT_ONCE, f"expected an answer at once {what}, it took {elapsed:.2f} s"


@pytest.mark.every_rung
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_greedy_peers_leave_the_others_alone(server: EchoServer, backend: Backend,
                                             many: bool) -> None:
    count = 1 if not many else 40 if SANITIZER or backend.without else 100
    idle = server.connect()
    expect_answer_at_once(server, "from a server at rest")
    before = server.resident_bytes()
    peers = greedy_peers(server.connect_many(count, slow=True))

    start = time.monotonic()
    ask(idle)
    elapsed = time.monotonic() - start
    assert elapsed < AT_ONCE, (
        f"expected an answer at once beside {count} greedy peers, it took {elapsed:.2f} s")
    expect_answer_at_once(server, f"beside {count} greedy peers")

    grown = server.resident_bytes() - before
    allowed = count * HELD_PER_PEER + SLACK
    assert SANITIZER or grown <= allowed, (
        f"expected at most {allowed // KIB} KiB more for {count} greedy peers, "
        f"the server grew by {grown // KIB} KiB")

    for peer in peers:
        peer.send_no_more()
    converse(peers)
