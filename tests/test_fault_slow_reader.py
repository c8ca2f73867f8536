"""A thousand peers that send and never read: each stops itself, holds 64 KiB of the server at most,
and the others notice nothing. When they read on, they have lost nothing."""

import socket
import time

from at_rest import STACKS_KEPT, Baseline, expect_asleep
from conversation import ask, converse, greedy_peers
from evidence import Evidence
from scale import tries
from server_process import SANITIZER, EchoServer, scaled

KIB = 1024
MIB = 1024 * KIB
READERS = scaled(tries(30, 1000))
RECEIVE_BUFFER = 4 * KIB
STUCK_FOR = tries(0, 60)  # seconds
HELD_BY_EACH = 64 * KIB
SLACK = 4 * MIB
ASKED = tries(200, 20_000)
AT_ONCE = 5.0  # seconds: an order of magnitude, a starved peer would wait for ever


def p99_of(server: EchoServer, seconds: float) -> float:
    """Of messages there and back, one after the other, in microseconds."""
    connection = server.connect()
    taken: list[float] = []
    end = time.monotonic() + seconds
    while len(taken) < ASKED or time.monotonic() < end:
        start = time.perf_counter()
        ask(connection)
        taken.append(time.perf_counter() - start)
    connection.close()
    slowest = sorted(taken)[len(taken) * 99 // 100]
    assert slowest < AT_ONCE, f"expected answers at once, one in a hundred took {slowest:.2f} s"
    return slowest * 1e6


def stick_and_read_on(server: EchoServer, seconds: float) -> tuple[int, int, float]:
    """The bytes that came back, those that the server held meanwhile, and what others waited."""
    before = server.resident_bytes()
    peers = greedy_peers([server.connect(slow=True, receive_buffer=RECEIVE_BUFFER)
                          for _ in range(READERS)])
    expect_asleep(server, "while nobody reads")
    waited = p99_of(server, seconds)
    held = server.resident_bytes() - before
    for peer in peers:
        peer.send_no_more()
    converse(peers)
    for peer in peers:
        peer.connection.close()
    return sum(peer.received for peer in peers), held, waited


def have_been_there(peers: list[socket.socket]) -> None:
    """All at once, so that tables have the size that they keep."""
    for peer in peers:
        ask(peer)
    for peer in peers:
        peer.close()


def test_who_never_reads_costs_little_and_loses_nothing(server: EchoServer,
                                                        evidence: Evidence) -> None:
    """And when they have left, the server gives back what it held for them."""
    at_rest = server.fds()
    alone = p99_of(server, 0)
    have_been_there(server.connect_many(READERS))
    server.await_fds(at_rest)
    baseline = Baseline(server, at_once=READERS)
    stack = STACKS_KEPT if server.backend == "blocking" else 0  # of the thread that each has there
    allowed = READERS * (HELD_BY_EACH + stack) + SLACK
    returned, held, waited = stick_and_read_on(server, STUCK_FOR)
    assert SANITIZER or held <= allowed, (
        f"expected {READERS} peers that never read to hold {allowed // KIB} KiB at most, they hold "
        f"{held // KIB} KiB")
    server.await_fds(at_rest)
    baseline.expect_again()
    evidence("slow reader", clients=READERS, receive_buffer=RECEIVE_BUFFER, seconds=STUCK_FOR,
             bytes_checked=returned, bytes_lost=0, held_by_each=max(0, held) // READERS,
             p99_alone_us=round(alone), p99_beside_them_us=round(waited))
