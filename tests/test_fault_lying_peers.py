"""Servers that lie, each kind in many ways that follow from a seed: loadgen ends, exits 3, says
what was wrong and accounts for every message. And a long exchange with one that does not lie raises
no false alarm."""

import random
import signal
import time
from typing import Any

import pytest

from evidence import Evidence
from expect import wait_until
from loadgen_fixtures import (ENGINES, Footprint, Process, Run, Server, descriptors_of, finish,
                              loadgen, lying_server, start, stopped_at_end)
from scale import tries
from server_process import StartServer

ROW = "lying peers"
SEEDS = tries(1, 100)
MESSAGES = 300
# Some lies are told by not answering. On a busy machine a server may have to be waited for longer
# until it lies.
PATIENCE = ["200ms", "10s"]

LIES = ["discard", "chargen", "banner", "flip", "duplicate", "drop", "swap", "foreign", "truncate",
        "garble", "extra", "close", "close-inside", "reset", "close-on-accept", "stall"]
ODD = ["dribble", "delay"]


def shape(dice: random.Random) -> dict[str, Any]:
    """How the next run goes; 100 messages are too early for none of the lies."""
    size = dice.choice([16, 61, 64, 333, 1000, 4096])
    return {"size": size, "pipeline": dice.choice([1, 2, 7, 16]), "at": dice.randrange(100),
            "engine": dice.choice(ENGINES), "lie_seed": dice.randrange(1 << 30)}


def attack(server: Server, run: dict[str, Any], timeout: str) -> Run:
    return loadgen(server.address, f"--backend={run['engine']}", "-s", run["size"], "-p",
                   run["pipeline"], "-c", 4, "-n", MESSAGES,
                   f"--timeout={timeout}")


def account(run: Run) -> None:
    totals = run.result["totals"]
    assert totals["sent"] == totals["messages"] + totals["unanswered"] + totals["spoiled"], totals
    assert totals["messages"] == run.result["latency_ns"]["count"]
    assert totals["connections_remade"] <= (totals["connections_lost"]
                                            + totals["connections_failed"]), totals


@pytest.mark.parametrize("fault", LIES)
def test_every_lie_is_told(evidence: Evidence, fault: str) -> None:
    lies = 0
    for seed in range(SEEDS):
        way = shape(random.Random(f"{fault} {seed}"))
        at = way["at"] * (way["size"] if fault == "flip" else 1)
        for timeout in PATIENCE:
            with lying_server(fault, size=way["size"], at=at, every=0,
                              seed=way["lie_seed"]) as server:
                run = attack(server, way, timeout)
            if server.injected > 0:
                break
        assert server.injected > 0, f"the server told no lie: {way}"
        assert run.status == 3 and run.result["verdict"]["status"] == "invalid", (way, run)
        assert run.result["totals"]["errors"], (way, run)
        account(run)
        lies += server.injected
    evidence(ROW, runs=SEEDS, lies=lies, silent_passes=0, hangs=0)


@pytest.mark.parametrize("fault", ODD)
def test_what_is_merely_odd_is_no_lie(evidence: Evidence, fault: str) -> None:
    for seed in range(SEEDS):
        way = shape(random.Random(f"{fault} {seed}"))
        way["size"] = min(way["size"], 100)
        with lying_server(fault, delay=0.005) as server:
            run = attack(server, way, "60s")
        assert run.status == 0 and run.result["totals"]["errors"] == {}, (way, run)
        assert run.result["totals"]["messages"] == MESSAGES
        account(run)
    evidence(ROW, runs=SEEDS, false_alarms=0)


def await_new_sockets(process: Process, count: int) -> None:
    seen: set[str] = set()

    def enough() -> bool:
        assert process.poll() is None, finish(process, time.monotonic())
        seen.update(name for name in descriptors_of(process) if name.startswith("socket:"))
        return len(seen) >= count
    wait_until(enough, lambda: f"expected {count} sockets, only {len(seen)} were seen", seconds=60)


@pytest.mark.parametrize("fault", ["close", "reset"])
@pytest.mark.parametrize("engine", ENGINES)
def test_connections_made_anew_leave_nothing(evidence: Evidence, engine: str, fault: str) -> None:
    with lying_server(fault, at=7, every=7) as server:
        process = start("loadgen", server.address, f"--backend={engine}", "--json=-", "--warmup=0",
                        "-c", 4, "-d", "600s")
        with stopped_at_end(process):
            await_new_sockets(process, tries(30, 1000))
            footprint = Footprint(process, 4)
            await_new_sockets(process, tries(60, 2000))
            footprint.expect_again()
            process.send_signal(signal.SIGINT)
            ended = finish(process, time.monotonic())
    totals = ended.result["totals"]
    assert totals["connections_remade"] >= tries(60, 2000), totals
    account(ended)
    evidence(ROW, connections_remade=totals["connections_remade"], descriptors_lost=0)


MIB = 1 << 20
VOLUME = tries(64 * MIB, 10 << 30)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_false_alarm(start_server: StartServer, evidence: Evidence, engine: str) -> None:
    """The volume, in messages of four sizes, from each of loadgen's backends to each server's."""
    server = start_server()
    received = 0
    for size, part in ((1000, 16), (16 << 10, 4), (100_000, 4), (MIB, 2)):
        count = max(1, VOLUME // 8 // part // size)
        run = loadgen(f"127.0.0.1:{server.port}", f"--backend={engine}", "-c", 8, "-p", 4,
                      "-s", size, "-n", count, "--timeout=60s")
        assert run.status == 0 and run.result["totals"]["errors"] == {}, run
        assert run.result["totals"]["bytes_received"] == count * size
        account(run)
        received += count * size
    evidence(ROW, bytes_checked=received, false_alarms=0)
