"""Each allocation of a server's life fails in turn, from its start to its end. Until it listens, it
ends with the reason or does without; later it loses one connection at most, and serves on."""

import contextlib
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from at_rest import Baseline
from chain import address_of
from evidence import Evidence
from expect import PATIENCE
from failing_allocations import MANY, Allocations
from scale import FULL
from server_process import SANITIZER, EchoServer, NotListening, StartServer

pytestmark = pytest.mark.skipif(SANITIZER != "", reason="the sanitizer has an allocator of its own")

NAME = "node"
REASONS = ["Cannot allocate memory",
           "Memory allocation failure",  # getaddrinfo(3)
           "Resource temporarily unavailable"]  # pthread_create(3)

MEMBERS = 9
LINES = b"".join(b"%0*d\n" % (i % 60 + 1, i) for i in range(20_000))
QUIET = 0.02  # seconds after which nothing more is taken


def answer_to(data: bytes, service: str) -> bytes:
    return data.replace(b"\n", f" > {NAME}\n".encode()) if "sign" in service else data


def push_until_stuck(connection: socket.socket, data: bytes) -> int:
    """Sends without reading; how much of it."""
    sent = 0
    while sent < len(data) and select.select([], [connection], [], QUIET)[1]:
        with contextlib.suppress(BlockingIOError):
            sent += connection.send(data[sent:])
    return sent


def stands(connection: socket.socket, service: str, data: bytes = b"one line\n") -> bool:
    """Whether all comes back; else the beginning of it, and the end of the connection."""
    expected, received = answer_to(data, service), bytearray()
    connection.setblocking(False)
    try:
        sent = push_until_stuck(connection, data)
        deadline = time.monotonic() + PATIENCE
        while len(received) < len(expected):
            assert time.monotonic() < deadline, f"{len(received)} of {len(expected)} bytes came"
            more = [connection] if sent < len(data) else []
            can_read, can_write, _ = select.select([connection], more, [], 1)
            if can_write:
                sent += connection.send(data[sent:])
            if can_read:
                piece = connection.recv(1 << 16)
                if not piece:
                    break
                received += piece
    except ConnectionError:
        pass
    assert received == expected[:len(received)], "what came back is not what was sent"
    return len(received) == len(expected)


def connections_lost(server: EchoServer, service: str) -> int:
    """Newcomers that make every table grow, one that reads late, and all once more."""
    members = server.connect_many(MEMBERS)
    lost = [member for member in members if not stands(member, service)]
    late = server.connect(slow=True)
    late_lost = not stands(late, service, LINES)
    lost += [member for member in members if member not in lost and not stands(member, service)]
    for connection in [*members, late]:
        connection.close()
    return len(lost) + late_lost


class Subject:
    """A server that is started again for each allocation, and the next hop where it is a relay."""

    def __init__(self, start_server: StartServer, launch: StartServer, service: str,
                 allocations: Allocations) -> None:
        another = start_server()  # skips where this machine has no such backend
        self.launch, self.service, self.allocations = launch, service, allocations
        self.options = [f"--backend={another.backend}", "--port=0"]
        if "sign" in service:
            self.options.append(f"--sign={NAME}")
        if "relay" in service:
            self.options.append(f"--relay={address_of(another)}")

    def start(self, number: int) -> EchoServer:
        self.allocations.fail_at(number)
        return self.launch(*self.options, extra_environment=self.allocations.environment())

    def allocations_of_a_life(self) -> tuple[int, int]:
        """How many until it listens, and until nobody is there any more."""
        server = self.start(MANY)
        until_it_listens = MANY - self.allocations.left()
        assert connections_lost(server, self.service) == 0
        server.close()
        return until_it_listens, MANY - self.allocations.left()

    def without(self, number: int) -> str:
        """How it took the lack of that one."""
        what = f"allocation {number} of {self.service}"
        try:
            server = self.start(number)
        except NotListening as end:
            assert end.exit_code in (1, 4) and end.stdout == "", f"{what}: {end}"
            assert any(reason in end.stderr for reason in REASONS), f"{what}: {end}"
            return "refused"
        listens = self.allocations.left() > 0
        at_rest = Baseline(server)
        lost = connections_lost(server, self.service)
        assert lost <= listens, f"{what}: {lost} connections lost; {server.stderr()!r}"
        self.allocations.fail_at(0)  # with other timing it needed fewer this time
        assert connections_lost(server, self.service) == 0, f"{what}: it does not serve on"
        server.await_fds(at_rest.fds)
        at_rest.expect_few_words()
        server.close()
        return "lost" if lost else "served"


def some_of(until_it_listens: int, until_the_end: int) -> list[int]:
    if FULL:
        return list(range(1, until_the_end + 1))
    return [*range(1, until_it_listens, 41), *range(until_it_listens + 1, until_the_end, 5)]


def expect_little_lost(subject: Subject, evidence: Evidence) -> None:
    numbers = some_of(*subject.allocations_of_a_life())
    outcomes = [subject.without(number) for number in numbers]
    assert {"refused", "lost"} <= set(outcomes), outcomes
    evidence("ENOMEM, ENOBUFS", allocations_failed=len(outcomes),
             ended_with_the_reason=outcomes.count("refused"),
             connections_lost=outcomes.count("lost"), others_lost=0)


@pytest.fixture
def make_subject(start_server: StartServer, launch: StartServer,
                 tmp_path: Path) -> Callable[[str], Subject]:
    return lambda service: Subject(start_server, launch, service, Allocations(tmp_path))


@pytest.mark.parametrize("service", ["echo", "sign"])
def test_each_allocation_of_an_echo_fails_once(make_subject: Callable[[str], Subject], service: str,
                                               evidence: Evidence) -> None:
    expect_little_lost(make_subject(service), evidence)


@pytest.mark.relays
@pytest.mark.parametrize("service", ["relay", "relay and sign"])
def test_each_allocation_of_a_relay_fails_once(make_subject: Callable[[str], Subject], service: str,
                                               evidence: Evidence) -> None:
    expect_little_lost(make_subject(service), evidence)
