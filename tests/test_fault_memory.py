"""No memory. A start-up that misses it ends with the reason, or does without what it asked for; a
server that runs loses one connection at most, and the others get what is theirs."""

import os
import re
import resource
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from at_rest import Baseline, expect_asleep
from chain import address_of, start_chain
from conversation import (Conversation, Ended, ask, converse, distinct_data, exchange,
                          push_until_stuck, random_bytes, receive)
from evidence import Evidence
from expect import PATIENCE, expect_same
from failing_calls import failing, needs_strace
from scale import FULL, tries
from server_process import (PROGRAMS, SANITIZER, Backend, EchoServer, StartServer, environment)

KIB = 1024
REASONS = {"ENOMEM": "Cannot allocate memory", "ENOBUFS": "No buffer space available"}
NO_THREAD = "the thread that probes io_uring: Resource temporarily unavailable"  # pthread_create(3)


# ---- the start

# The first call that is the program's own and not the loader's: which signals it waits for.
FIRST_OF_OURS = re.compile(r"rt_sigprocmask\(SIG_BLOCK, \[HUP INT USR1 TERM\]")
ANNOUNCEMENT = re.compile(r'write\(1, "listening on ')


@dataclass
class Subject:
    """What is started again and again, and where strace(1) writes what it calls."""

    backend: Backend
    log: Path
    options: Sequence[str] = ()


# They know no lack of memory. brk(2) does, but tells it by the old break: what strace returns is a
# very high one to libc. futex(2) knows it of locks that lend priority, which libc does not use.
INFALLIBLE = {"brk", "exit", "exit_group", "futex", "getpid", "gettid", "rt_sigaction",
              "rt_sigprocmask"}
NETWORK = {"socket", "socketpair", "bind", "listen", "connect", "accept4", "setsockopt",
           "getsockname"}  # what may lack buffers


@contextmanager
def traced(server: "Subject", *strace_options: str) -> "Iterator[subprocess.Popen[str]]":
    log = server.log
    command = ["strace", "-f", "-o", str(log), *strace_options, str(PROGRAMS / "echo-server"),
               f"--backend={server.backend.name}", "--port=0", *server.options]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.kill(server_under(log), signal.SIGKILL)


def server_under(log: Path) -> int:
    """The process that strace has started: the first that it has traced."""
    return int(log.read_text().split(maxsplit=1)[0])


def first_line(process: "subprocess.Popen[str]") -> str:
    """What it prints when it listens; nothing where it ends instead."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    assert ready, "expected the server to listen or to end, it does neither"
    return process.stdout.readline()


def end(process: "subprocess.Popen[str]", log: Path) -> None:
    """Tells the server to end, not strace."""
    os.kill(server_under(log), signal.SIGTERM)
    process.wait(PATIENCE)


def calls_of_the_start(server: Subject) -> list[tuple[str, int]]:
    """By name and number, of each thread for itself, as strace counts them when it injects: the
    third mmap is ("mmap", 3)."""
    with traced(server) as process:
        if first_line(process):
            end(process, server.log)
        else:
            pytest.skip(process.communicate()[1].strip())
    calls: list[tuple[str, int]] = []
    loader: set[tuple[str, int]] = set()  # a thread's first mmap would be the loader's too
    seen: dict[tuple[str, str], int] = {}
    ours = False
    for line in server.log.read_text().splitlines():
        ours = ours or FIRST_OF_OURS.search(line) is not None
        found = re.match(r"(\d+) +(\w+)\(", line)
        if found is None:
            continue
        if ANNOUNCEMENT.search(line):
            break
        thread, name = found.groups()
        seen[thread, name] = seen.get((thread, name), 0) + 1
        call = name, seen[thread, name]
        if not ours:
            loader.add(call)
        elif name not in INFALLIBLE and call not in loader:
            calls.append(call)
    assert len(calls) > 10, f"expected more than {len(calls)} calls of the server's start"
    return list(dict.fromkeys(calls))


def some_of(calls: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """A few that every start needs; in full all of them."""
    if FULL:
        return calls
    last = dict(calls)
    wanted = ["socket", "listen", "signalfd4", "io_uring_setup", "epoll_create1", "eventfd2"]
    return [(name, last[name]) for name in wanted if name in last]


def start_without(server: Subject, call: str, number: int, error: str) -> str:
    """How it ended: "refused" with the reason, or "served" without what failed."""
    what = f"{error} from {call} number {number}"
    with traced(server, "-e", f"inject={call}:error={error}:when={number}") as process:
        line = first_line(process)
        if line:
            address = line.split()[2].rpartition(":")
            expect_served(address[0], int(address[2]), what)
            end(process, server.log)
        stderr = process.communicate(timeout=PATIENCE)[1]
    assert "(INJECTED)" in server.log.read_text(), f"expected {what}, it was not called so often"
    if line:
        assert process.returncode == 0, f"{what}: exit code {process.returncode}: {stderr!r}"
        return "served"
    unavailable = 4 if server.backend.name == "io_uring" else 1
    assert process.returncode in (1, unavailable), (
        f"{what}: expected exit code 1, got {process.returncode}: {stderr!r}")
    assert REASONS[error] in stderr or NO_THREAD in stderr, (
        f"{what}: expected the reason, got {stderr!r}")
    return "refused"


def expect_served(host: str, port: int, what: str) -> None:
    """The second connection at the latest: a call of the thread that probes has the number of one
    that the loop makes later, and what fails then may cost a connection."""
    for last in (False, True):
        with socket.create_connection((host, port), timeout=PATIENCE) as connection:
            try:
                return ask(connection)
            except (AssertionError, ConnectionError) as failure:
                if last:
                    raise AssertionError(f"after {what} it listens, but {failure}") from None


def skip_under_a_sanitizer() -> None:
    if SANITIZER:
        pytest.skip("the sanitizer makes calls of its own, and cannot be traced or limited")


def fail_each_call_of_the_start(server: Subject, evidence: Evidence) -> None:
    calls = some_of(calls_of_the_start(server))
    outcomes = []
    for error in REASONS if FULL else ["ENOMEM"]:
        for call, number in calls:
            if error == "ENOBUFS" and call not in NETWORK:
                continue
            server.log.unlink()
            outcomes.append(start_without(server, call, number, error))
    assert "refused" in outcomes, "expected some of the calls to be indispensable"
    evidence("ENOMEM, ENOBUFS", start_up_calls_failed=len(outcomes),
             ended_with_the_reason=outcomes.count("refused"),
             served_without=outcomes.count("served"))


@pytest.mark.parametrize("options", [[], ["--sign=node"]], ids=["echo", "sign"])
def test_start_up_ends_with_the_reason(backend: Backend, tmp_path: Path, evidence: Evidence,
                                       options: list[str]) -> None:
    needs_strace()
    skip_under_a_sanitizer()
    fail_each_call_of_the_start(Subject(backend, tmp_path / "calls", options), evidence)


@pytest.mark.relays
def test_start_up_of_a_relay_ends_with_the_reason(start_server: StartServer, backend: Backend,
                                                  tmp_path: Path, evidence: Evidence) -> None:
    needs_strace()
    skip_under_a_sanitizer()
    options = [f"--relay={address_of(start_server())}"]
    fail_each_call_of_the_start(Subject(backend, tmp_path / "calls", options), evidence)


# ---- while it serves

MEMBERS = 12
WHICH = ["1", "2", "3", "5", "8"] if FULL else ["1"]
ROUNDS = 20


def calls_of(backend: Backend) -> list[tuple[str, str]]:
    """The calls by which a backend serves, each with what it may fail with."""
    waits = "epoll_wait,epoll_pwait,epoll_pwait2"
    calls = {
        "epoll": ["recvfrom", "sendto", "accept4", "epoll_ctl", waits],
        "poll": ["recvfrom", "sendto", "accept4", "ppoll"],
        "blocking": ["recvfrom", "sendto", "accept4", "ppoll", "clone3,clone"],
        "io_uring": ["io_uring_enter"],
    }[backend.name]
    errors = {"io_uring_enter": ["ENOMEM", "EAGAIN", "EBUSY"], "ppoll": ["ENOMEM"],
              waits: ["ENOMEM"], "clone3,clone": ["ENOMEM", "EAGAIN"]}
    most = None if FULL else 1
    return [(call, error) for call in calls
            for error in errors.get(call, ["ENOMEM", "ENOBUFS"])[:most]]


class Party:
    """Connections that stand, those that join them, and how many are lost."""

    def __init__(self, server: EchoServer) -> None:
        self.server = server
        self.lost = 0
        others = server.tasks()
        self.members = server.connect_many(MEMBERS)
        for member in self.members:
            ask(member)
        self.threads = server.tasks() - others  # in a server that has one for each connection

    def go_on(self) -> None:
        """Everyone has a message returned, newcomers too, and somebody reads late."""
        self.members += self.server.connect_many(2)
        data = distinct_data(len(self.members), 48 * KIB)
        for member, message in zip(list(self.members), data):
            if not self.stands(lambda: exchange(member, bytes(message), [message])):
                self.members.remove(member)
        late = Conversation(self.server.connect(slow=True), random_bytes(1024 * KIB), "late reader")
        self.stands(lambda: read_late(late))
        late.connection.close()

    def stands(self, step: Callable[[], None]) -> bool:
        """Only an end is a loss; wrong bytes, or silence, are a failure."""
        try:
            step()
            return True
        except (Ended, ConnectionError):
            self.lost += 1
            return False


def read_late(peer: Conversation) -> None:
    push_until_stuck([peer], quiet=0.02)
    converse([peer])


def task_that_calls(call: str, party: Party) -> int:
    if party.threads and call in ("recvfrom", "sendto"):
        return max(party.threads)  # a sanitizer's own is the first
    return party.server.pid


def calls_of_a_relay(backend: Backend) -> list[tuple[str, str]]:
    more = {"io_uring": ["socket"]}.get(backend.name, ["socket", "connect"])
    errors = ["ENOMEM", "ENOBUFS"] if FULL else ["ENOBUFS"]
    return calls_of(backend) + [(call, error) for call in more for error in errors]


def test_call_that_fails_once_costs_one_connection_at_most(
        start_server: StartServer, backend: Backend, tmp_path: Path, evidence: Evidence) -> None:
    needs_strace()
    expect_one_lost_at_most(start_server(), calls_of(backend), tmp_path, evidence)


@pytest.mark.relays
def test_call_of_a_relay_that_fails_once_costs_one_connection_at_most(
        start_server: StartServer, backend: Backend, tmp_path: Path, evidence: Evidence) -> None:
    needs_strace()
    relay, echo = start_chain(start_server, 2)
    at_rest = echo.fds()
    expect_one_lost_at_most(relay, calls_of_a_relay(backend), tmp_path, evidence)
    echo.await_fds(at_rest)


def expect_one_lost_at_most(server: EchoServer, calls: list[tuple[str, str]], directory: Path,
                            evidence: Evidence) -> None:
    baseline = Baseline(server, at_once=4 * MEMBERS)
    failed = lost = 0
    for call, error in calls:
        for which in WHICH:
            party = Party(server)
            party.go_on()
            log = directory / f"{call}-{error}-{which}"
            with failing(task_that_calls(call, party), call, error, log, which) as failures:
                for _ in range(ROUNDS):
                    party.go_on()
                    if failures() > 0:
                        break
            assert failures() == 1, f"expected one {call} to fail with {error}"
            party.go_on()
            assert party.lost <= 1, (
                f"expected {error} from {call} number {which} to cost a connection at most, it "
                f"cost {party.lost}: {server.counters()}")
            failed, lost = failed + 1, lost + party.lost
            for member in party.members:
                member.close()
    baseline.server.await_fds(baseline.fds)
    baseline.expect_few_words()
    evidence("ENOMEM, ENOBUFS", calls_failed_while_serving=failed, connections_lost=lost,
             others_lost=0)


@pytest.mark.only_io_uring
def test_requests_that_do_not_fit_wait_until_they_can_be_handed_over(
        start_server: StartServer, tmp_path: Path, evidence: Evidence) -> None:
    """Requests are handed over early where their queue is full, and that may fail too: here every
    second time."""
    needs_strace()
    server = start_server(extra_environment={"ECHOBENCH_URING_CQ": "8"})
    connections = server.connect_many(64)
    for connection in connections:
        ask(connection)
    server.pause()
    for connection in connections:
        connection.sendall(b"all at once")
    log = tmp_path / "calls"
    with failing(server.pid, "io_uring_enter", "ENOMEM", log, "2+2") as failures:
        server.go_on()
        for connection in connections:
            expect_same(receive(connection, 11), b"all at once")
    assert failures() > 0, "expected some of the calls to fail"
    evidence("ENOMEM, ENOBUFS", calls_failed_while_serving=failures(), connections_lost=0,
             others_lost=0)


# ---- no memory at all, for a while

STEP = 250
MOST = 16_000


def limit_memory(server: EchoServer, size: int) -> None:
    """RLIMIT_AS, getrlimit(2): whatever needs more of it fails, again and again."""
    resource.prlimit(server.pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def refused(server: EchoServer) -> int:
    counters = server.counters()
    return counters["accept_failures"] + counters.get("ENOMEM", 0)


def test_no_memory_for_more_connections(start_server: StartServer, evidence: Evidence) -> None:
    skip_under_a_sanitizer()
    # With an arena for each thread, libc keeps 64 MiB aside for one that has ended.
    server = start_server(extra_environment={"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"})
    members = server.connect_many(tries(20, 200))
    for member in members:
        ask(member)
    baseline = Baseline(server)
    limit_memory(server, server.virtual_bytes())

    newcomers: list[socket.socket] = []
    while refused(server) == 0:
        assert len(newcomers) < MOST, f"expected no memory for one of {MOST} connections"
        newcomers += server.connect_many(STEP)
    for member in members:
        ask(member)
    expect_asleep(server, "while it has no memory")
    baseline.expect_few_words()

    limit_memory(server, resource.RLIM_INFINITY)
    lost = sum(not is_answered(newcomer) for newcomer in newcomers)
    assert lost < len(newcomers), "expected those to be served who were accepted"
    for member in [*members, server.connect()]:
        ask(member)
    for newcomer in newcomers:
        newcomer.close()
    server.await_fds(baseline.fds + 1)
    evidence("ENOMEM, ENOBUFS", connections=len(newcomers) + len(members), refused=lost,
             of_those_that_stood_lost=0)


def is_answered(connection: socket.socket) -> bool:
    try:
        ask(connection)
        return True
    except (Ended, ConnectionError):
        return False
