"""--sandbox: a confined server serves as ever. (What it can't do any more is tried from inside:
server/sandbox_test.cc, net/uring_restrictions_test.cc.)"""

import ctypes
import os
import re
import resource
import signal
import struct
from pathlib import Path

import pytest

from chain import start_chain
from conversation import (ask, conversations, converse, exchange, expect_closed, expect_end,
                          greedy_peers, push_until_stuck, random_bytes, random_pieces, reset)
from expect import wait_until
from server_process import SANITIZER, EchoServer, NotListening, StartServer, scaled
from suite import SUITE, run_suite

KIB = 1024


@pytest.fixture
def strict_server(start_server: StartServer) -> EchoServer:
    return start_server("--sandbox=strict")


def status_of_threads(server: EchoServer, field: str) -> set[str]:
    tasks = Path(f"/proc/{server.pid}/task").iterdir()
    found = [re.search(rf"^{field}:\s*(.*)$", (task / "status").read_text(), re.MULTILINE)
             for task in tasks]
    return {each[1] for each in found if each}


# ---- what the kernel says of it

def test_strict_is_filtered_in_every_thread(strict_server: EchoServer) -> None:
    for connection in strict_server.connect_many(5):
        ask(connection)
    assert status_of_threads(strict_server, "Seccomp") == {"2"}
    assert status_of_threads(strict_server, "NoNewPrivs") == {"1"}


def test_on_is_the_default(start_server: StartServer) -> None:
    server = start_server()
    ask(server.connect())
    assert status_of_threads(server, "NoNewPrivs") == {"1"}
    assert status_of_threads(server, "Seccomp") == status_of_this_process("Seccomp")


def status_of_this_process(field: str) -> set[str]:
    return set(re.findall(rf"^{field}:\s*(.*)$", Path("/proc/self/status").read_text(),
                          re.MULTILINE))


def test_off_changes_nothing(start_server: StartServer) -> None:
    server = start_server("--sandbox=off")
    ask(server.connect())
    for field in ("Seccomp", "NoNewPrivs"):
        assert status_of_threads(server, field) == status_of_this_process(field)


@pytest.mark.only_io_uring
def test_strict_ring_is_restricted_and_has_no_thread(strict_server: EchoServer) -> None:
    assert " restricted " in strict_server.stderr(), strict_server.stderr()
    threads = [re.search(r"^SqThread:\s*(-?\d+)$", info.read_text(), re.MULTILINE)
               for info in Path(f"/proc/{strict_server.pid}/fdinfo").iterdir()]
    rings = [each[1] for each in threads if each]
    assert rings and set(rings) == {"-1"}, f"expected a ring without a thread, got {rings}"


# ---- it serves

@pytest.mark.every_rung
def test_every_byte_and_then_the_end(strict_server: EchoServer) -> None:
    at_rest = strict_server.fds()
    data = random_bytes(2 << 20)
    connection = strict_server.connect()
    exchange(connection, data, random_pieces(data, 7), end=True)
    expect_end(connection)
    strict_server.await_fds(at_rest)


def test_many_and_slow_and_rude(strict_server: EchoServer) -> None:
    at_rest = strict_server.fds()
    slow = conversations(strict_server.connect_many(5, slow=True), 2000 * KIB, "slow reader")
    push_until_stuck(slow)
    for _ in range(10):
        rude = strict_server.connect()
        rude.sendall(random_bytes(64 * KIB))
        reset(rude)
    peers = conversations(strict_server.connect_many(scaled(100)), 50_000)
    converse(peers)
    converse(slow)
    for peer in [*slow, *peers]:
        peer.connection.close()
    strict_server.await_fds(at_rest)


def test_counters_and_drain(start_server: StartServer) -> None:
    server = start_server("--sandbox=strict", "--drain-timeout=300ms")
    connections = server.connect_many(3)
    for connection in connections:
        ask(connection)
    assert server.counters()["open"] == 3
    greedy_peers([server.connect(slow=True)])
    server.send_signal(signal.SIGTERM)
    assert server.await_exit(10) == 0
    for connection in connections:
        expect_end(connection)


def test_limits(start_server: StartServer) -> None:
    server = start_server("--sandbox=strict", "--max-connections=2", "--idle-timeout=200ms")
    first, second = server.connect_many(2)
    ask(first)
    ask(second)
    expect_closed(server.connect())
    expect_end(first)
    expect_end(second)
    ask(server.connect())


def test_few_descriptors(start_server: StartServer) -> None:
    server = start_server("--sandbox=strict", before_exec=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (32, 32)))
    at_rest = server.fds()
    clients = server.connect_many(60)
    wait_until(lambda: re.search("too many connections|cannot accept", server.stderr()) is not None,
               lambda: f"expected the server to say that it has no room: {server.stderr()!r}")
    for client in clients:
        client.close()
    server.await_fds(at_rest)
    ask(server.connect())


@pytest.mark.relays
def test_chain(start_server: StartServer) -> None:
    def start_strict(*options: str) -> EchoServer:
        return start_server("--sandbox=strict", *options)

    nodes = start_chain(start_strict, 3)
    converse(conversations(nodes[0].connect_many(20), 50_000))
    data = random_bytes(1 << 20)
    connection = nodes[0].connect()
    exchange(connection, data, random_pieces(data, 3), end=True)
    expect_end(connection)


@pytest.mark.relays
def test_next_hop_that_is_not_there(start_server: StartServer) -> None:
    """The filter does not stand between the client and the reason."""
    server = start_server("--sandbox=strict", "--relay=127.0.0.1:1")
    expect_closed(server.connect())
    wait_until(lambda: "Connection refused" in server.stderr(),
               lambda: f"expected the reason on stderr, got {server.stderr()!r}")


# ---- where there is none

SECCOMP_SET_MODE_FILTER, SYS_SECCOMP = 1, {"x86_64": 317, "aarch64": 277}
PR_SET_NO_NEW_PRIVS = 38
LANDLOCK_CREATE_RULESET, ENOSYS = 444, 38


def without_landlock() -> None:
    """As in a kernel that has none, by a filter of this process' own."""
    load, jump_if_equal, end = 0x20, 0x15, 0x06
    code = b"".join(struct.pack("HBBI", *each) for each in (
        (load, 0, 0, 0),
        (jump_if_equal, 0, 1, LANDLOCK_CREATE_RULESET),
        (end, 0, 0, 0x00050000 | ENOSYS),
        (end, 0, 0, 0x7fff0000)))
    held = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(held))
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(SYS_SECCOMP[os.uname().machine], SECCOMP_SET_MODE_FILTER, 0, program) != 0:
        raise OSError("no filter could be set")


def start_without_landlock(launch: StartServer, sandbox: str) -> EchoServer:
    if os.uname().machine not in SYS_SECCOMP:
        pytest.skip(f"the number of seccomp(2) is not known here: {os.uname().machine}")
    return launch("--port=0", f"--sandbox={sandbox}", before_exec=without_landlock)


def test_on_goes_on_without_landlock(launch: StartServer) -> None:
    server = start_without_landlock(launch, "on")
    ask(server.connect())
    assert server.stderr() == ""


def test_strict_is_nothing_less(launch: StartServer) -> None:
    with pytest.raises(NotListening) as ended:
        start_without_landlock(launch, "strict")
    assert (ended.value.exit_code, ended.value.stdout) == (4, "")
    assert len(ended.value.stderr.splitlines()) == 1, ended.value.stderr
    reason = "sanitizer" if SANITIZER else "Landlock"
    assert "--sandbox=strict" in ended.value.stderr and reason in ended.value.stderr


# ---- all of the behaviour

@pytest.mark.long
@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer needs calls that strict refuses")
@pytest.mark.parametrize("file", SUITE)
def test_the_suite_confined(file: str) -> None:
    assert " passed" in run_suite(file, environment={
        "ECHOBENCH_SERVER_OPTIONS": "--sandbox=strict"})
