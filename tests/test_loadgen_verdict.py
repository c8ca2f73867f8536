"""loadgen's judgement of its own run: what it did itself is not blamed on the server, and what
makes a figure doubtful is said, with a code for programs."""

import os
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from loadgen_fixtures import ENGINES, Run, Server, finish, loadgen, lying_server, start
from stall import await_connections, expect_the_right_tail, on_a_quiet_machine, stop_for
from server_process import ROOT, StartServer


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    with lying_server("none") as server:
        yield server


def codes(run: Run) -> set[str]:
    return {reason["code"] for reason in run.result["verdict"]["reasons"]}


def stalled(address: str, server_pid: int, who: str, seconds: float, after: float,
            *arguments: object) -> tuple[Run, float]:
    """A run in which the server, or loadgen itself, is stopped for a while."""
    began = time.monotonic()
    process = start("loadgen", address, "--json=-", *arguments)
    await_connections(process, 20)
    time.sleep(after)
    duration = stop_for(process.pid if who == "loadgen" else server_pid, seconds)
    return finish(process, began), duration


LOADS: dict[str, list[object]] = {
    "open": ["-c", 20, "-r", 500], "open, pipelined": ["-c", 20, "-r", 500, "-p", 64],
    "closed": ["-c", 20],
}


@pytest.mark.parametrize("busy_poll", ["auto", "off"])
@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("engine", ENGINES)
def test_its_own_stall_is_told_from_one_of_the_server(echo: Server, engine: str, load: str,
                                                      busy_poll: str) -> None:
    def client(who: str) -> tuple[Run, dict[str, Any], float]:
        run, duration = stalled(echo.address, echo.pid, who, 0.4, 0.4, f"--backend={engine}",
                                f"--busy-poll={busy_poll}", "-w", "100ms", "-d", "1300ms",
                                *LOADS[load])
        return run, run.result["cpu"]["client"], duration

    for _ in range(3):  # on a busy machine the stop may come when the window is over
        run, cpu, duration = client("loadgen")
        if cpu["longest_stall_s"] >= 0.9 * duration:
            break
    assert run.status == 0 and run.result["verdict"]["status"] == "questionable"
    assert "client_stalled" in codes(run)
    assert not codes(run) & {"unsteady_throughput", "unsteady_latency"}, "that is the server's"
    assert cpu["longest_stall_s"] >= 0.9 * duration
    if run.result["config"]["mode"] == "open":
        assert run.result["send_lag_ns"]["max"] >= 0.9e9 * duration

    run, cpu, duration = client("server")
    assert cpu["longest_stall_s"] < 0.5 * duration
    assert run.result["latency_ns"]["max"] >= 0.9e9 * duration
    assert "client_stalled" in codes(run) or "unsteady_throughput" in codes(run)


@on_a_quiet_machine
@pytest.mark.parametrize("pipeline", [1, 64])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_second_of_ten_of_its_own(launch: StartServer, engine: str, pipeline: int) -> None:
    server = launch("--port=0")
    run, duration = stalled(f"127.0.0.1:{server.port}", server.pid, "loadgen", 1, 4,
                            f"--backend={engine}", "-c", 500, "-p", pipeline, "-r", "10k", "-w",
                            "1s", "-d", "9s")
    assert "client_stalled" in codes(run)
    assert not codes(run) & {"unsteady_throughput", "unsteady_latency"}
    expect_the_right_tail(run, duration, "latency_ns")
    expect_the_right_tail(run, duration, "send_lag_ns")
    # On a busy machine others join it.
    assert run.result["cpu"]["client"]["longest_stall_s"] == pytest.approx(duration, rel=0.1)


def test_a_questionable_run_exits_0_and_with_strict_3(echo: Server) -> None:
    run = loadgen(echo.address, "-n", 50)
    assert run.status == 0 and run.result["verdict"]["status"] == "questionable", run
    assert codes(run) >= {"few_samples"}
    assert "few_samples" in run.stderr and "->" in run.stderr
    run = loadgen(echo.address, "-n", 50, "--strict")
    assert run.status == 3 and run.result["verdict"]["status"] == "questionable", run


def test_an_invalid_run_exits_3_with_and_without_strict() -> None:
    for argument in ("--verify=on", "--strict"):
        with lying_server("flip", every=3001) as server:
            assert loadgen(server.address, "-n", 200, argument).status == 3


def test_client_and_server_on_one_core(launch: StartServer) -> None:
    cpu = min(os.sched_getaffinity(0))
    server = launch("--port=0", f"--cpu={cpu}")
    address = f"127.0.0.1:{server.port}"
    assert "one_core" in codes(loadgen(address, "-n", 50, f"--cpu={cpu}"))
    if len(os.sched_getaffinity(0)) > 1:
        assert "one_core" not in codes(loadgen(address, "-n", 50))


def test_waiting_is_not_being_busy(echo: Server) -> None:
    for busy_poll in ("always", "off"):
        run = loadgen(echo.address, "-r", 20, "-d", "500ms", f"--busy-poll={busy_poll}")
        assert 0 <= run.result["cpu"]["client"]["busy"] < 0.5, run.result["cpu"]


def test_who_never_waits_is_busy(launch: StartServer) -> None:
    server = launch("--port=0")
    run = loadgen(f"127.0.0.1:{server.port}", "-c", 50, "-p", 64, "-s", 4096, "-d", "500ms")
    assert run.result["cpu"]["client"]["busy"] > 0.3, run.result["cpu"]


@on_a_quiet_machine
@pytest.mark.parametrize("load", ["-c 500", "-c 1", "-c 50 -p 16", "-c 500 -r 10k",
                                  "-c 80 -p 4 -r 100k", "-c 80 -p 4 -r 100k --arrivals=poisson",
                                  "-c 10 -r 1k"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_good_run_is_valid(launch: StartServer, engine: str, load: str) -> None:
    server = launch("--port=0", "--cpu=0")
    run = loadgen(f"127.0.0.1:{server.port}", f"--backend={engine}", "--cpu=1", "-w", "400ms",
                  "-d", "2s", *load.split())
    assert run.result["verdict"] == {"status": "valid", "reasons": []}


def test_every_code_is_explained() -> None:
    source = (ROOT / "loadgen" / "verdict.cc").read_text()
    known = set(re.findall(r'(?:invalid|questionable)\(\s*"(\w+)"', source))
    assert len(known) > 15
    explained = (ROOT / "docs" / "MEASURING.md").read_text()
    schema = (ROOT / "results" / "schema.json").read_text()
    for code in known:
        assert f"`{code}`" in explained, f"docs/MEASURING.md does not explain {code}"
        assert code in schema, code
    assert set(re.findall(r"^\| `(\w+)` \|", explained, re.MULTILINE)) == known
