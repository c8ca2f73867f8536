"""io_uring where the kernel can do less of it, and where its queues are small."""

import json
import os
import re
import socket

import pytest

from conversation import (ask, conversations, converse, distinct_data, exchange, expect_end,
                          greedy_peers, random_bytes, receive)
from evidence import Evidence
from expect import expect_same
from scale import tries
from server_process import (LEAST_URING, Backend, EchoServer, RunProgram, StartServer,
                            scaled)
from suite import SUITE, run_suite

KIB = 1024


@pytest.mark.only_io_uring
def test_auto_takes_io_uring(server: EchoServer, launch: StartServer) -> None:
    """`server` is here to skip where there is no io_uring."""
    auto = launch("--backend=auto", "--port=0")
    assert auto.line.endswith(" (io_uring)")
    ask(auto.connect())


@pytest.mark.only_io_uring
@pytest.mark.every_rung
def test_the_features_in_use_are_named(server: EchoServer, backend: Backend) -> None:
    lines = [line for line in server.stderr().splitlines() if line.startswith("io_uring:")]
    assert len(lines) == 1, f"expected one line 'io_uring: FEATURE...' in {server.stderr()!r}"
    in_use, _, taken_away = lines[0].partition(" without=")
    assert taken_away == (backend.without or os.environ.get("ECHOBENCH_URING_WITHOUT", ""))
    for feature in filter(None, taken_away.split(",")):
        assert feature not in in_use, f"{feature} was taken away: {lines[0]!r}"
    assert len(in_use.split()) > 1, f"expected features in {lines[0]!r}"


@pytest.mark.only_io_uring
@pytest.mark.parametrize("command", [["echo-server", "--port=0"], ["loadgen", "127.0.0.1:1"]],
                         ids=["echo-server", "loadgen"])
def test_a_feature_that_is_none_can_not_be_taken_away(
        server: EchoServer, run_program: RunProgram, monkeypatch: pytest.MonkeyPatch,
        command: list[str]) -> None:
    monkeypatch.setenv("ECHOBENCH_URING_WITHOUT", "multishot_receive")
    ended = run_program(*command, "--backend=io_uring")
    assert (ended.returncode, ended.stdout) == (1, ""), ended
    assert re.fullmatch(r"[\w-]+: ECHOBENCH_URING_WITHOUT: 'multishot_receive' .*\n",
                        ended.stderr), ended


@pytest.mark.only_io_uring
def test_a_result_says_what_was_taken_away(server: EchoServer, run_program: RunProgram,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHOBENCH_URING_WITHOUT", "silent_send,multishot_recv")
    ended = run_program("loadgen", f"127.0.0.1:{server.port}", "--messages=10", "--warmup=0s",
                        "--backend=io_uring", "--json=-", "--quiet")
    flags = json.loads(ended.stdout)["context"]["io_uring_flags"]
    assert flags[-1] == "without=silent_send,multishot_recv"
    assert not {"silent_send", "multishot_recv"} & set(flags)


@pytest.mark.long
@pytest.mark.only_io_uring
@pytest.mark.parametrize("file", [*SUITE, "test_loadgen_run.py"])
def test_the_suite_on_the_least(server: EchoServer, file: str) -> None:
    """As on the oldest kernel that will do."""
    assert " passed" in run_suite(file, "-k", "io_uring and not without",
                                  environment={"ECHOBENCH_URING_WITHOUT": LEAST_URING})


@pytest.mark.only_io_uring
@pytest.mark.every_rung
def test_eight_receive_buffers_serve_many(start_server: StartServer, evidence: Evidence) -> None:
    count, size = tries(200, 1000), tries(256 * KIB, 1024 * KIB)
    server = start_server(extra_environment={"ECHOBENCH_URING_BUFFERS": "8"})
    at_rest = server.fds()
    peers = conversations(server.connect_many(count), size)
    converse(peers)
    starved = server.counters()["starved"]
    assert starved > 0, "expected the buffers to run out"
    for peer in peers:
        peer.connection.close()
    server.await_fds(at_rest)
    evidence("provided buffers or CQ run out", buffers=8, connections=count,
             bytes_checked=count * size, bytes_lost=0, receives_without_a_buffer=starved)


@pytest.mark.only_io_uring
@pytest.mark.every_rung
def test_greedy_peers_do_not_keep_the_last_buffer(start_server: StartServer) -> None:
    server = start_server(extra_environment={"ECHOBENCH_URING_BUFFERS": "8"})
    idle = server.connect()
    ask(idle)
    greedy = greedy_peers(server.connect_many(20, slow=True))
    ask(idle)
    newcomer, data = server.connect(), random_bytes(256 * KIB)
    exchange(newcomer, data, [data])
    for peer in greedy:
        peer.send_no_more()
    converse(greedy)


@pytest.mark.only_io_uring
@pytest.mark.every_rung
def test_who_waits_for_a_buffer_has_its_turn(start_server: StartServer) -> None:
    """Also behind others who wait and have nothing to receive: no completion of theirs will ever
    wake the server to look who comes next."""
    server = start_server(extra_environment={"ECHOBENCH_URING_BUFFERS": "8"})
    server.pause()
    first = conversations(server.connect_many(20), 200 * KIB)
    silent = server.connect_many(100)
    last = conversations(server.connect_many(20), 200 * KIB)
    for peer in first + last:
        peer.push()
    server.go_on()
    converse(first + last)
    for connection in silent:
        ask(connection)


@pytest.mark.only_io_uring
@pytest.mark.every_rung
def test_completion_queue_of_eight_loses_nothing(start_server: StartServer,
                                                 evidence: Evidence) -> None:
    """A burst of connections, and then of messages and of ends on all of them."""
    server = start_server(extra_environment={"ECHOBENCH_URING_CQ": "8"})
    at_rest = server.fds()
    count, rounds = tries(400, 5000), tries(scaled(2000) // 400, 2)
    for _ in range(rounds):
        data = distinct_data(count, 64)
        connections: list[socket.socket] = []
        while len(connections) < count:  # in portions that the backlog holds
            server.pause()
            connections += server.connect_many(min(1000, count - len(connections)))
            server.go_on()
            ask(connections[-1])
        for connection in connections:
            ask(connection)
        server.pause()
        for connection, message in zip(connections, data):
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
        server.go_on()
        for number, (connection, message) in enumerate(zip(connections, data)):
            expect_same(receive(connection, 64), message, f"connection {number}")
            expect_end(connection)
            connection.close()
    server.await_fds(at_rest)
    overflows = server.counters()["overflows"]
    assert overflows > 0, "expected the completion queue to overflow"
    evidence("provided buffers or CQ run out", completion_queue=8, connections=rounds * count,
             bytes_checked=rounds * count * 64, bytes_lost=0, overflows=overflows)


@pytest.mark.only_io_uring
@pytest.mark.every_rung
def test_who_waits_for_a_buffer_is_not_slept_over(start_server: StartServer) -> None:
    """All buffers are out with echoes that post no completion when they have gone, and the others
    wait for one: the server may sleep over neither. Only connections of many small messages have
    the receives that find no buffer without having been asked for."""
    server = start_server(extra_environment={"ECHOBENCH_URING_BUFFERS": "4"})
    connections = server.connect_many(12)
    for connection in connections:
        for _ in range(40):
            ask(connection)
    server.pause()
    for connection in connections:
        connection.sendall(b"all at once")
    server.go_on()
    for connection in connections:
        expect_same(receive(connection, 11), b"all at once", "its echo")
