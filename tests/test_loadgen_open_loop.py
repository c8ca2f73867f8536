"""loadgen's open loop: what is due is due whatever comes back, so a stall is seen in full, what
never came back is no small latency, and the arrivals are what they claim to be.

What needs a quiet machine, or a minute, runs with ECHOBENCH_QUIET=1; the same things are checked
always at a smaller size and with bounds that hold on a busy machine."""

import asyncio
import itertools
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from loadgen_fixtures import (ENGINES, CountingEcho, Run, Server, finish, loadgen,
                              lying_server, one_line, run, start)
from server_process import StartServer
from stall import (QUIET, await_connections, expect_the_right_tail, on_a_quiet_machine,
                   stop_for)


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    with lying_server("none") as server:
        yield server


def codes(run: Run) -> set[str]:
    return {reason["code"] for reason in run.result["verdict"]["reasons"]}


def accounts_add_up(run: Run) -> None:
    """Each message that fell due is a sample or infinite, whatever happened to it."""
    totals, latency = run.result["totals"], run.result["latency_ns"]
    assert latency["count"] + latency["infinite"] == totals["due"], totals
    assert run.result["service_ns"]["count"] == run.result["send_lag_ns"]["count"]
    assert run.result["service_ns"]["count"] == latency["count"] == totals["messages"]
    assert totals["unanswered"] + totals["unsent"] <= latency["infinite"]


# --- What is asked for is sent --------------------------------------------------------------------


@pytest.mark.parametrize("arrivals", ["uniform", "poisson"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_message_that_fell_due_is_a_sample(echo: Server, engine: str, arrivals: str) -> None:
    run = loadgen(echo.address, f"--backend={engine}", "-c", 5, "-t", 2, "--rate=500",
                  f"--arrivals={arrivals}", "-d", "600ms", "-w", "100ms")
    accounts_add_up(run)
    result = run.result
    assert run.status == 0, run
    config = result["config"]
    assert (config["mode"], config["rate"], config["arrivals"]) == ("open", 500, arrivals)
    if arrivals == "uniform":
        assert result["totals"]["due"] == 300
        assert result["throughput"]["asked_per_s"] == pytest.approx(500)
    else:
        assert 200 < result["totals"]["due"] < 420
    assert result["latency_ns"]["infinite"] == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_n_is_exact(engine: str) -> None:
    with lying_server("none") as server:
        run = loadgen(server.address, f"--backend={engine}", "-n", 101, "-c", 7, "-t", 3, "-r",
                      "1k", "--warmup=30ms")
    assert run.status == 0, run
    accounts_add_up(run)
    assert run.result["totals"]["due"] == run.result["totals"]["messages"] == 101
    assert server.bytes_received > 101 * 64, "the warm-up comes before"


def test_a_slow_rate_is_not_taken_for_a_stall(echo: Server) -> None:
    run = loadgen(echo.address, "-r", 1, "-n", 3, "--timeout=900ms")
    assert run.status == 0 and run.result["totals"]["messages"] == 3, run
    assert run.result["totals"]["elapsed_s"] >= 1.9


def test_a_window_lasts_as_long_as_asked_though_nothing_more_is_due(echo: Server) -> None:
    run = loadgen(echo.address, "-r", 1, "-d", "600ms")
    assert run.result["totals"]["due"] == run.result["totals"]["messages"] == 1
    assert run.result["totals"]["elapsed_s"] == pytest.approx(0.6)


def test_latency_is_service_and_lag(echo: Server) -> None:
    result = loadgen(echo.address, "-r", "1k", "-c", 10, "-d", "500ms").result
    means = {name: result[f"{name}_ns"]["mean"] for name in ("latency", "service", "send_lag")}
    assert means["latency"] == pytest.approx(means["service"] + means["send_lag"], rel=1e-6)


@pytest.mark.parametrize("arguments,word", [
    (["--rate=0"], "--rate"), (["--rate=-1"], "--rate"), (["--rate=1.5"], "--rate"),
    (["--rate=fast"], "--rate"), (["--rate=1000G"], "--rate"),
    (["--rate=5", "--arrivals=bursty"], "--arrivals"), (["--arrivals=poisson"], "--rate"),
])
def test_bad_usage_is_one_line(arguments: list[str], word: str) -> None:
    ended = run("loadgen", "127.0.0.1:1", *arguments)
    assert ended.status == 2 and ended.stdout == "" and one_line(ended.stderr), ended
    assert word in ended.stderr


@pytest.mark.parametrize("number,status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_a_full_report(number: signal.Signals, status: int) -> None:
    with CountingEcho() as server:
        began = time.monotonic()
        process = start("loadgen", server.address, "--json=-", "-c", 2, "--warmup=0", "-r", "1k",
                        "-d", "60s")
        server.wait_for_bytes(100 * 64, process)
        process.send_signal(number)
        run = finish(process, began)
    assert run.status == status and run.seconds < 30, run
    assert run.result["aborted"] is True
    accounts_add_up(run)
    assert 50 <= run.result["totals"]["messages"]
    assert run.result["totals"]["elapsed_s"] < 30


# --- Work that has to wait ------------------------------------------------------------------------


def test_work_waits_in_the_schedule_with_its_time() -> None:
    # One connection, 20 ms an answer: of the messages due every 10 ms, each second one waits.
    with lying_server("delay", delay=0.02) as server:
        run = loadgen(server.address, "-r", 100, "-n", 20, "--timeout=5s")
    accounts_add_up(run)
    latency, service = run.result["latency_ns"], run.result["service_ns"]
    assert service["min"] >= 20_000_000
    # The k-th is sent after k answers, and was due k * 10 ms after the start.
    assert latency["max"] >= 20 * 20_000_000 - 19 * 10_000_000
    assert latency["mean"] >= 0.9 * (20e6 + 9.5 * 10e6)


def test_up_to_pipeline_messages_are_outstanding_on_a_connection() -> None:
    with lying_server("delay", delay=0.05) as server:
        run = loadgen(server.address, "-r", 200, "-n", 40, "-p", 64)
    # Nobody had to wait for an answer, so the lag is no multiple of the 50 ms.
    assert run.result["service_ns"]["min"] >= 50_000_000
    assert run.result["send_lag_ns"]["p50"] < 25_000_000


def test_a_stuck_connection_holds_up_no_other() -> None:
    with lying_server("drop", at=5, every=0) as server:
        run = loadgen(server.address, "-r", 500, "-c", 4, "-n", 200, "--timeout=300ms")
    assert run.status == 3 and run.result["totals"]["unanswered"] == 1, run
    assert run.result["totals"]["messages"] == 199


@pytest.mark.parametrize("pipeline", [1, 64])
@pytest.mark.parametrize("engine", ENGINES)
def test_more_than_the_server_can_do(engine: str, pipeline: int) -> None:
    # At most one answer a connection in 20 ms: of 1,000 a second 100 with -p 1.
    with lying_server("delay", delay=0.02) as server:
        run = loadgen(server.address, f"--backend={engine}", "-c", 2, "-p", pipeline, "-r",
                      "1k" if pipeline == 1 else "10k", "-d", "500ms", "--timeout=200ms")
    totals = run.result["totals"]
    accounts_add_up(run)
    if pipeline == 1:
        assert run.status == 3 and {"unsent", "rate_not_achieved"} <= codes(run), run
        assert totals["due"] == 500 and totals["unsent"] >= 430
        assert totals["sent"] <= 52
    assert run.result["latency_ns"]["p99"] is None or run.result["send_lag_ns"]["p50"] > 0


def test_waiting_work_takes_no_memory() -> None:
    def peak_kilobytes(rate: str) -> int:
        with lying_server("delay", delay=0.05) as server:
            process = start("loadgen", server.address, "-w0", "-r", rate, "-d", "1s",
                            "--timeout=100ms", "--quiet")
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.stdout and process.stderr
            process.stdout.close()
            process.stderr.close()
            assert process.returncode == 3
            return int(usage.ru_maxrss)

    # Ten million messages that wait cost no more than ten.
    assert peak_kilobytes("10M") < peak_kilobytes("100") + 2000


# --- A stall of the server ------------------------------------------------------------------------


def stalled_run(address: str, stalls: int | None, seconds: float, after: float,
                *arguments: object) -> tuple[Run, float]:
    """A run in which process `stalls` (None: loadgen itself) is stopped for a while."""
    began = time.monotonic()
    process = start("loadgen", address, "--json=-", *arguments)
    await_connections(process, 20)
    time.sleep(after)
    stalled = stop_for(process.pid if stalls is None else stalls, seconds)
    return finish(process, began), stalled


@pytest.mark.parametrize("pipeline", [1, 64])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_stall_of_the_server_is_seen_by_all_whom_it_would_have_met(
        echo: Server, engine: str, pipeline: int) -> None:
    run, stalled = stalled_run(echo.address, echo.pid, 0.4, 0.5, f"--backend={engine}", "-c", 20,
                               "-p", pipeline, "-r", 500, "-w", "200ms", "-d", "1800ms")
    accounts_add_up(run)
    latency = run.result["latency_ns"]
    # 0.4 s of 1.8 s: two ninths of all messages waited, evenly from nothing to the whole stall.
    assert latency["infinite"] == 0 and latency["count"] == 900
    assert latency["max"] >= 0.98e9 * stalled
    assert latency["p90"] >= 0.8e9 * stalled * (1 - 0.1 * 1.8 / stalled)
    waited_long = run.result["throughput"]["asked_per_s"] * stalled / 2
    assert latency["mean"] * 900 >= 0.8 * waited_long * 1e9 * stalled


@on_a_quiet_machine
@pytest.mark.parametrize("pipeline", [1, 64])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_second_of_ten(launch: StartServer, engine: str, pipeline: int) -> None:
    server = launch("--port=0")
    run, stalled = stalled_run(f"127.0.0.1:{server.port}", server.pid, 1, 4,
                               f"--backend={engine}", "-c", 500, "-p", pipeline, "-r", "10k", "-w",
                               "1s", "-d", "9s")
    expect_the_right_tail(run, stalled, "latency_ns")


# --- What never comes back ------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", [1, 8])
@pytest.mark.parametrize("mode", [(), ("--rate=2k",)])
def test_an_unanswered_message_counts_as_infinite_latency(mode: tuple[str, ...],
                                                          pipeline: int) -> None:
    # Every 50th: 2 % of the messages have no latency, so p90 has a value and p99 has none. A lost
    # reply is the end of its connection, so there are more of these than are lost.
    with lying_server("drop", at=10, every=50) as server:
        run = loadgen(server.address, "-c", 100, "-p", pipeline, "-n", 2500, "--timeout=300ms",
                      *mode)
    assert run.status == 3, run
    latency = run.result["latency_ns"]
    assert latency["infinite"] >= 40
    assert latency["p50"] is not None and latency["p99"] is None and latency["max"] is None
    assert latency["p90"] is not None or pipeline > 1
    assert "infinite" in run.stderr


# --- The arrivals, seen from outside --------------------------------------------------------------


class StampingEcho:
    """An echo that notes when each message came, in a thread of its own."""

    def __init__(self, size: int = 64) -> None:
        self.stamps: list[float] = []
        stamps = self.stamps

        class Echo(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                self.transport = transport
                transport.get_extra_info("socket").setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def data_received(self, data: bytes) -> None:
                now = time.monotonic()
                stamps.extend([now] * (len(data) // size))
                self.transport.write(data)

        self.loop = asyncio.new_event_loop()
        server = self.loop.run_until_complete(
            self.loop.create_server(Echo, "127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> "StampingEcho":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def kolmogorov_smirnov(gaps: list[float], mean: float) -> float:
    """The distance D of the gaps' distribution from the exponential one of this mean."""
    ordered = sorted(gaps)
    count = len(ordered)
    below = [1 - math.exp(-gap / mean) for gap in ordered]
    return max(max((i + 1) / count - p, p - i / count) for i, p in enumerate(below))


def gaps_seen(arrivals: str, rate: int, count: int) -> list[float]:
    with StampingEcho() as server:
        run = loadgen(server.address, "-c", 20, "-r", rate, "-n", count, f"--arrivals={arrivals}")
        assert run.result["totals"]["messages"] == count, run
        stamps = sorted(server.stamps)
    return [later - earlier for earlier, later in itertools.pairwise(stamps)]


def test_poisson_arrivals_pass_a_kolmogorov_smirnov_test() -> None:
    # 1.95 / sqrt(n) is exceeded once in a thousand; a busy machine adds delays of its own.
    if QUIET:
        distance = kolmogorov_smirnov(gaps_seen("poisson", 200, 5000), 1 / 200)
        assert distance < 1.95 / math.sqrt(5000)
    assert any(distance < 0.35 for distance in distances("poisson", 150))


def test_uniform_arrivals_fail_it() -> None:
    assert any(distance > 0.35 for distance in distances("uniform", 100))


def distances(arrivals: str, count: int) -> Iterator[float]:
    """Of up to three runs: a machine that is busy makes gaps of its own, a wrong schedule makes
    them each time."""
    for _ in range(3):
        yield kolmogorov_smirnov(gaps_seen(arrivals, 50, count), 1 / 50)


@on_a_quiet_machine
def test_no_bursts_at_a_hundred_thousand_a_second(launch: StartServer) -> None:
    server = launch("--port=0")
    run = loadgen(f"127.0.0.1:{server.port}", "-c", 80, "-p", 4, "-r", "100k", "-d", "5s", "-w1s")
    # A burst is a message that is late: in a millisecond 100 are due, and half as many more need
    # 500 us of lag before.
    assert run.result["send_lag_ns"]["p90"] < 100_000, run.result["send_lag_ns"]
    assert run.result["throughput"]["sent_per_s"] == pytest.approx(100_000, rel=0.01)


@on_a_quiet_machine
@pytest.mark.parametrize("rate,seconds", [(1, 10), (10, 5), (1000, 5), (100_000, 5)])
@pytest.mark.parametrize("arrivals", ["uniform", "poisson"])
def test_the_rate_is_achieved(launch: StartServer, rate: int, seconds: int,
                              arrivals: str) -> None:
    server = launch("--port=0")
    run = loadgen(f"127.0.0.1:{server.port}", "-c", 80, "-p", 4, "-r", rate, "-d", f"{seconds}s",
                  "-w1s", f"--arrivals={arrivals}")
    throughput = run.result["throughput"]
    assert throughput["messages_per_s"] == pytest.approx(throughput["asked_per_s"], rel=0.01)
    spread = 0 if arrivals == "uniform" else 4 / math.sqrt(rate * seconds)
    assert throughput["asked_per_s"] == pytest.approx(rate, rel=0.001 + spread)
