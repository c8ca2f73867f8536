"""The server dies in the middle of a run, and is back, or is not: loadgen says what was lost, makes
its connections anew without a storm of attempts, and ends in time."""

import signal
import time
from typing import Any

import pytest

from evidence import Evidence
from expect import wait_until
from loadgen_fixtures import (ENGINES, Footprint, Process, Run, finish, kept_port, run,
                              sockets_of, start, stopped_at_end)
from own_network import OwnNetwork, own_network
from scale import tries
from server_process import EchoServer, StartServer, scaled

ROW = "the server dies or restarts in a run"
CONNECTIONS = scaled(tries(40, 500))
CLOSING = CONNECTIONS // 2  # with churn there are always some
ENDED = {"closed_by_peer", "connection_reset", "connection_aborted"}


def await_all_here(server: EchoServer, accepted: int) -> None:
    """So many were accepted since the server is there, and now all are at work."""
    def all_here() -> bool:
        counters = server.counters()
        return (counters["accepted"] >= accepted and counters["bytes"] > 0
                and counters["open"] >= CONNECTIONS - CLOSING)
    wait_until(all_here, lambda: f"{accepted} connections should have come: {server.counters()}",
               seconds=60)


def interrupted(process: Process, began: float) -> Run:
    process.send_signal(signal.SIGINT)
    return finish(process, began)


def begin(port: int, engine: str, *arguments: object, **popen: Any) -> Process:
    return start("loadgen", f"127.0.0.1:{port}", f"--backend={engine}", "--json=-", "--warmup=0",
                 "-c", CONNECTIONS, *arguments, **popen)


def account(result: dict[str, Any]) -> None:
    """Every message that was sent is in one place, and every loss has its kind."""
    totals = result["totals"]
    began = totals["sent"] if totals["due"] is None else totals["due"] - totals["unsent"]
    assert began == totals["messages"] + totals["unanswered"] + totals["spoiled"], totals
    assert totals["lost_unanswered"] <= totals["unanswered"], totals
    assert totals["messages"] == result["latency_ns"]["count"]
    assert totals["corrupt"] == totals["spoiled"] == 0, totals
    ended = sum(number for kind, number in totals["errors"].items() if kind in ENDED)
    assert ended >= totals["connections_lost"] > 0, totals
    if result["config"]["churn"] is None:
        assert totals["connections_failed"] == 0, totals
        assert totals["connections_opened"] == CONNECTIONS + totals["connections_remade"], totals
    assert set(totals["errors"]) <= ENDED | {"connection_refused"}, totals
    codes = [reason["code"] for reason in result["verdict"]["reasons"]]
    assert "connections_lost" in codes, codes


@pytest.mark.parametrize("load", [("-p", 4), ("-r", 2000), ("--churn=50",)],
                         ids=["closed", "open", "churn"])
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_and_back(launch: StartServer, evidence: Evidence, engine: str,
                         load: tuple[object, ...]) -> None:
    kills = tries(3, 10)
    footprint = None
    with kept_port() as port:
        server = launch(f"--port={port}")
        began = time.monotonic()
        process = begin(port, engine, "-d", "600s", *load)
        with stopped_at_end(process):
            await_all_here(server, CONNECTIONS)
            for _ in range(kills):
                server.process.kill()
                server.process.wait()
                wait_until(lambda: sockets_of(process) < CONNECTIONS,
                           "loadgen should notice that its server is gone", seconds=60)
                server = launch(f"--port={port}")
                await_all_here(server, CONNECTIONS)
                footprint = footprint or Footprint(process, CONNECTIONS)
                footprint.expect_again()
            ended = interrupted(process, began)
    assert ended.status == 130 and ended.result["aborted"] is True, ended
    account(ended.result)
    totals = ended.result["totals"]
    # A connection that ended before loadgen saw it begin was none, but a vain attempt; a listener
    # that dies may take one more; and in churn one that was to replace another could not be opened.
    gone = totals["connections_lost"] + totals["connections_failed"]
    assert gone >= kills * CONNECTIONS // 2, totals
    assert gone - CONNECTIONS // 2 <= totals["connections_remade"] <= gone, totals
    evidence(ROW, kills=kills, connections=CONNECTIONS, messages=totals["messages"],
             connections_lost=totals["connections_lost"],
             connections_remade=totals["connections_remade"], unaccounted_messages=0)


def most_attempts(seconds: float) -> int:
    """So many fit, if each wait is as short as it can be."""
    attempts, wait = 0, 0.005
    while seconds > 0:
        attempts += 1
        seconds -= wait
        wait = min(2 * wait, 0.5)
    return attempts


def run_until_killed(launch: StartServer, engine: str, *limit: object) -> Run:
    with kept_port() as port:
        server = launch(f"--port={port}")
        began = time.monotonic()
        process = begin(port, engine, *limit)
        with stopped_at_end(process):
            await_all_here(server, CONNECTIONS)
            server.process.kill()
            return finish(process, began)


@pytest.mark.parametrize("limit", [("-d", "1s"), ("-n", 1_000_000_000, "--timeout=700ms")],
                         ids=["duration", "messages"])
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_and_never_back(launch: StartServer, evidence: Evidence, engine: str,
                               limit: tuple[object, ...]) -> None:
    ended = run_until_killed(launch, engine, *limit)
    assert ended.status == 3 and ended.result["aborted"] is False, ended
    account(ended.result)
    totals = ended.result["totals"]
    # While its process is being taken apart, the listener may for a moment take what is made anew.
    assert totals["connections_lost"] - totals["connections_remade"] == CONNECTIONS, totals
    assert totals["unanswered"] == totals["lost_unanswered"]
    if "-d" in limit:
        assert totals["elapsed_s"] == 1, "the window is the one that was asked for"
    # Vain attempts are counted, and no more were made than the back-off allows.
    refused = totals["errors"]["connection_refused"]
    assert CONNECTIONS <= refused <= CONNECTIONS * most_attempts(ended.seconds), totals
    assert ended.seconds < 25
    evidence(ROW, connections=CONNECTIONS, attempts_in_vain=refused, unaccounted_messages=0)


def killed_by_ss(network: OwnNetwork, port: int) -> int:
    """Resets the server's ends of all connections (ss -K); how many."""
    listed = network.run_or_skip("ss", "-KHnt", "state", "established", f"sport = :{port}")
    return len(listed.splitlines())


@pytest.mark.parametrize("engine", ENGINES)
def test_all_connections_are_reset(launch: StartServer, evidence: Evidence, engine: str) -> None:
    resets, killed = tries(3, 30), 0
    footprint = None
    with own_network() as network:
        server = launch("--port=8888", before_exec=network.enter)
        began = time.monotonic()
        process = begin(8888, engine, "-d", "600s", preexec_fn=network.enter)
        with stopped_at_end(process):
            await_all_here(server, CONNECTIONS)
            for number in range(1, resets + 1):
                now = killed_by_ss(network, 8888)
                if now == 0:
                    pytest.skip("this kernel resets no sockets (CONFIG_INET_DIAG_DESTROY)")
                killed += now
                await_all_here(server, (number + 1) * CONNECTIONS)
                footprint = footprint or Footprint(process, CONNECTIONS)
                footprint.expect_again()
            ended = interrupted(process, began)
    assert ended.status == 130, ended
    account(ended.result)
    totals = ended.result["totals"]
    lost = totals["connections_lost"]
    assert killed // 2 <= lost <= killed, totals
    assert lost - CONNECTIONS // 2 <= totals["connections_remade"] <= lost, totals
    assert set(totals["errors"]) <= {"connection_reset", "connection_aborted"}, totals
    evidence(ROW, resets=killed, connections_remade=totals["connections_remade"],
             unaccounted_messages=0)


def test_a_port_where_nobody_listens_does_not_echo() -> None:
    """With two ports to choose from, a connection soon sets out from the one that it goes to. (On
    io_uring the program listens on one of them itself, to see what this kernel can do.)"""
    with own_network() as network:
        network.run_or_skip("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001")
        for _ in range(tries(5, 50)):
            for port in (40000, 40001):
                ended = run("loadgen", f"127.0.0.1:{port}", "--backend=epoll", "-n", 10, "-w0",
                            preexec_fn=network.enter)
                assert ended.status == 1 and ended.stdout == "", ended
                assert "refused" in ended.stderr or "Cannot assign" in ended.stderr, ended
