"""No descriptor is left, or accept(2) fails in another way: accepting pauses without spinning, and
goes on as soon as it can. Nobody who waits is forgotten."""

import resource
import socket
import time
from pathlib import Path

import pytest

from at_rest import Baseline, expect_asleep
from conversation import Ended, ask, readable, receive
from evidence import Evidence
from expect import wait_until
from failing_calls import failing, needs_strace
from scale import FULL, tries
from server_process import Backend, EchoServer, StartServer

DESCRIPTORS = 32
CLIENTS = tries(60, 500)
PAUSE = 0.1  # seconds between two looks whether accept(2) works again

# All that accept(2) names, Linux's own and those of the network among them.
OF_ACCEPT = ["EAGAIN", "EBADF", "ECONNABORTED", "EFAULT", "EINTR", "EINVAL", "EMFILE", "ENFILE",
             "ENOBUFS", "ENOMEM", "ENOTSOCK", "EOPNOTSUPP", "EPERM", "EPROTO", "ENOSR",
             "ESOCKTNOSUPPORT", "EPROTONOSUPPORT", "ETIMEDOUT", "ENETDOWN", "ENOPROTOOPT",
             "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "ENETUNREACH"]
ERRORS = OF_ACCEPT if FULL else ["ECONNABORTED", "EMFILE", "ENOBUFS"]


def few_from_the_start(start_server: StartServer) -> EchoServer:
    return start_server(before_exec=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS)))


def few_while_it_runs(start_server: StartServer) -> EchoServer:
    """So that accept(2) fails with EMFILE, whatever the server found out when it started."""
    server = start_server()
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    return server


def is_answered(connection: socket.socket, message: bytes) -> bool:
    """Or closed, but never left in silence."""
    try:
        receive(connection, len(message))
        return True
    except Ended:
        return False


@pytest.mark.every_rung
@pytest.mark.parametrize("few_descriptors", [few_from_the_start, few_while_it_runs])
def test_out_of_descriptors(start_server: StartServer, few_descriptors: StartServer,
                            evidence: Evidence) -> None:
    server = few_descriptors(start_server)
    baseline = Baseline(server, at_once=DESCRIPTORS)
    clients = server.connect_many(CLIENTS)
    for connection in clients:
        connection.sendall(b"Hello")
    wait_until(lambda: len(readable(clients)) >= 16 and server.fds() >= DESCRIPTORS - 2,
               lambda: f"expected the server to serve as many as it can, it holds {server.fds()} "
                       f"descriptors of {DESCRIPTORS}")
    expect_asleep(server, "while it waits for a descriptor")

    served = readable(clients)
    answered = 0
    for connection in served + [client for client in clients if client not in served]:
        answered += is_answered(connection, b"Hello")
        connection.close()
    server.await_fds(baseline.fds)
    for connection in server.connect_many(10):
        ask(connection)
        connection.close()
    baseline.expect_again()
    evidence("EMFILE/ENFILE", descriptors=DESCRIPTORS, clients=CLIENTS, answered=answered,
             closed=CLIENTS - answered, left_in_silence=0)


def skip_where_accept_is_no_call(backend: Backend) -> None:
    if backend.name == "io_uring":
        pytest.skip("accept is a request in the ring, and no system call that strace could fail")
    needs_strace()


def test_accept_recovers_from_each_error(start_server: StartServer, backend: Backend,
                                         tmp_path: Path, evidence: Evidence) -> None:
    skip_where_accept_is_no_call(backend)
    server = start_server()
    bystander = server.connect()
    ask(bystander)
    baseline = Baseline(server, at_once=len(ERRORS))
    slowest = 0.0
    for error in ERRORS:
        with failing(server.pid, "accept4", error, tmp_path / error, when="1..3") as failures:
            connection = server.connect()
            start = time.monotonic()
            ask(connection)
            slowest = max(slowest, time.monotonic() - start)
            ask(bystander)
        assert failures() == 3, f"expected accept4 to have failed three times with {error}"
        connection.close()
    counters = server.counters()
    paused = len(ERRORS) - ERRORS.count("EAGAIN")  # which says that there is nobody
    assert counters["accept_failures"] == 3 * paused, f"expected 3 for each error: {counters}"
    baseline.expect_again()
    evidence("EMFILE/ENFILE", accept_errors=len(ERRORS), failures=3 * len(ERRORS),
             connections_lost=0, slowest_recovery_ms=round(slowest * 1000))


@pytest.mark.parametrize("error", ["EMFILE", "ENFILE"] if FULL else ["EMFILE"])
def test_accept_that_goes_on_failing_is_tried_ten_times_a_second(
        start_server: StartServer, backend: Backend, tmp_path: Path, evidence: Evidence,
        error: str) -> None:
    skip_where_accept_is_no_call(backend)
    server = start_server()
    bystander = server.connect()
    ask(bystander)
    with failing(server.pid, "accept4", error, tmp_path / "calls", when="1+") as failures:
        waiting = server.connect()
        waiting.sendall(b"Hello")
        start = time.monotonic()
        wait_until(lambda: failures() > 0, f"expected accept4 to fail with {error}")
        expect_asleep(server, "while accept(2) fails")
        ask(bystander)
        failed, elapsed = failures(), time.monotonic() - start
    assert failed <= elapsed / PAUSE + 2, f"accept(2) was tried {failed} times in {elapsed:.1f} s"
    assert receive(waiting, 5) == b"Hello"
    said = [line for line in server.stderr().splitlines() if "cannot accept" in line]
    reason = "Too many open files"
    assert said and all(reason in line for line in said), f"{said} should say {reason!r}"
    evidence("EMFILE/ENFILE", failures=failed, pauses=failed, spins=0, connections_lost=0)
