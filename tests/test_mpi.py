"""loadgen-mpi on one machine: the total is the sum of its ranks, sample by sample, and one rank
speaks for all."""

import re
from pathlib import Path
from typing import Any

import pytest

from hdr_histogram import Histogram
from loadgen_fixtures import ENGINES, nobody_listens
from mpi_job import PROGRAM, Ended, needs_mpi, run
from server_process import StartServer

pytestmark = needs_mpi

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}


def merged(texts: list[str]) -> Histogram:
    """As if every sample had been recorded in the first one."""
    first, *others = (Histogram(text) for text in texts)
    for other in others:
        longer, shorter = sorted((first.counts, other.counts), key=len, reverse=True)
        first.counts = [count + (shorter[i] if i < len(shorter) else 0)
                        for i, count in enumerate(longer)]
    return first


def expect_sum(result: dict[str, Any], ranks: int) -> None:
    """Each figure of the total follows from those of the ranks that are there."""
    rows = [row for row in result["ranks"] if not row["lost"]]
    assert len(result["ranks"]) == ranks
    totals = result["totals"]
    for name in ("messages", "answered_in_window", "due", "sent", "unsent", "bytes_sent",
                 "bytes_received", "connections_opened", "unanswered", "spoiled", "corrupt"):
        if totals[name] is not None:
            assert totals[name] == sum(row["totals"][name] for row in rows), name
    assert totals["elapsed_s"] == max(row["totals"]["elapsed_s"] for row in rows)
    samples = merged([row["histogram"] for row in rows])
    assert samples.counts == Histogram(result["histograms"]["latency"]).counts
    latency = result["latency_ns"]
    assert samples.count == latency["count"] == sum(row["latency_ns"]["count"] for row in rows)
    for name, quantile in QUANTILES.items():
        if latency[name] is not None:
            assert latency[name] == min(samples.percentile(quantile), latency["max"]), name
    assert latency["min"] == min(row["latency_ns"]["min"] for row in rows)
    if latency["infinite"] > 0:
        return
    assert latency["max"] == max(row["latency_ns"]["max"] for row in rows)
    means = sum(row["latency_ns"]["mean"] * row["latency_ns"]["count"] for row in rows)
    assert latency["mean"] == pytest.approx(means / latency["count"], rel=1e-9)


def expect_common_clock(result: dict[str, Any]) -> None:
    """On one machine there is one clock: what was measured must be no further off than it says."""
    first, *others = result["ranks"]
    assert (first["clock_offset_ns"], first["clock_error_ns"]) == (0, 0)
    for row in others:
        assert row["clock_error_ns"] > 0
        assert abs(row["clock_offset_ns"]) <= row["clock_error_ns"] + 1


LOADS: dict[str, list[object]] = {"closed": [], "pipelined": ["-p", 8], "open": ["-r", 4000],
                                  "poisson": ["-r", 4000, "--arrivals=poisson"]}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("engine", ENGINES)
def test_total_is_the_sum_of_its_ranks(launch: StartServer, tmp_path: Path, engine: str,
                                       load: str) -> None:
    server = launch("--port=0")
    ended = run(tmp_path, f"127.0.0.1:{server.port}", f"--backend={engine}", "-c", 18, "-d",
                "1200ms", "-w", "200ms", "--interval=500ms", *LOADS[load])
    if ended.status == 4:
        pytest.skip(ended.stderr)
    assert ended.status == 0 and ended.result is not None, ended
    result = ended.result
    expect_sum(result, 4)
    expect_common_clock(result)
    assert sorted(row["connections"] for row in result["ranks"]) == [4, 4, 5, 5]
    assert result["config"]["connections"] == result["totals"]["connections_opened"] == 18
    assert result["config"]["threads"] == 4
    assert all(row["backend"] == engine for row in result["ranks"])
    intervals = result["intervals"]
    assert [interval["t_s"] for interval in intervals] == pytest.approx([0.5, 1.0, 1.2])
    answered = sum(interval["messages"] for interval in intervals)
    assert answered == result["totals"]["answered_in_window"]
    assert len(ended.stdout.splitlines()) > 15, "the first rank prints the report"
    assert ended.stdout.count("\nverdict ") == 1 and "\nranks       on 1 host\n" in ended.stdout
    assert ended.lines() == []


@pytest.mark.parametrize("warmup", ["0", "100ms"])
def test_a_number_of_messages_is_divided(launch: StartServer, tmp_path: Path, warmup: str) -> None:
    server = launch("--port=0")
    ended = run(tmp_path, f"127.0.0.1:{server.port}", "-c", 9, "-n", 1003, "-w", warmup,
                "-t", 2)
    assert ended.status == 0 and ended.result is not None, ended
    expect_sum(ended.result, 4)
    assert ended.result["totals"]["messages"] == ended.result["totals"]["sent"] == 1003
    assert ended.result["config"]["threads"] == 8


def test_asked_rate_is_that_of_all(launch: StartServer, tmp_path: Path) -> None:
    server = launch("--port=0")
    ended = run(tmp_path, f"127.0.0.1:{server.port}", "-c", 7, "-r", 1000, "-d", "1s", "-w", 0,
                "--pipeline=100")
    assert ended.result is not None, ended
    assert ended.result["totals"]["due"] == 1000
    due = [row["totals"]["due"] for row in ended.result["ranks"]]
    for row, fell_due in zip(ended.result["ranks"], due):
        assert fell_due == pytest.approx(1000 * row["connections"] / 7, abs=1)


def test_a_job_of_one_rank(launch: StartServer, tmp_path: Path) -> None:
    server = launch("--port=0")
    ended = run(tmp_path, f"127.0.0.1:{server.port}", "-n", 100, "-w", 0, ranks=1)
    assert ended.status == 0 and ended.result is not None, ended
    expect_sum(ended.result, 1)


# ---- one rank speaks for all

def expect_one_line(ended: Ended, status: int, *words: str) -> None:
    assert ended.status == status, ended
    assert ended.stdout == "" and len(ended.lines()) == 1, ended
    for word in words:
        assert word in ended.lines()[0], ended.lines()
    assert ended.result is None


@pytest.mark.parametrize("arguments,words", [
    (["-c", 3], ["--connections", "4 ranks"]),
    (["-c", 4, "-t", 2], ["--connections", "2 threads"]),
    (["-c", 4, "--slo=p99<2ms"], ["--slo"]),
    (["-c", 4, "--hdr=/tmp/x"], ["--hdr"]),
    (["--self-test"], ["--self-test"]),
    (["-c", 0], ["--connections", "0"]),
    (["--nonsense"], ["--nonsense"]),
    (["-c", 4, "-d", "1s", "-n", 5], ["--messages", "--duration"]),
])
def test_usage(tmp_path: Path, arguments: list[object], words: list[str]) -> None:
    expect_one_line(run(tmp_path, "127.0.0.1:9", *arguments), 2, *words)


def test_server_that_is_not_there(tmp_path: Path) -> None:
    with nobody_listens() as address:
        expect_one_line(run(tmp_path, address, "-c", 8), 1, "cannot connect to", address)


def test_wrong_name_of_the_server(tmp_path: Path) -> None:
    ended = run(tmp_path, "no-such-host.invalid:8888", "-c", 8)
    expect_one_line(ended, 1, "cannot resolve", "no-such-host.invalid")


def test_ranks_with_different_options(launch: StartServer, tmp_path: Path) -> None:
    """mpirun -n 1 PROGRAM A : -n 1 PROGRAM B."""
    server = launch("--port=0")
    target = f"127.0.0.1:{server.port}"
    ended = run(tmp_path, target, "-c", 4, ":", "-n", 1, PROGRAM, target, "-c", 5, ranks=1)
    expect_one_line(ended, 2, "rank 1 (", "other options")


def test_output_that_cannot_be_written_is_noticed_before_the_run(tmp_path: Path) -> None:
    ended = run(tmp_path, "127.0.0.1:9", "-c", 4, f"--csv={tmp_path}/none/x.csv")
    expect_one_line(ended, 1, "none/x.csv")


def test_help_and_version(tmp_path: Path) -> None:
    for option, word in (("--help", "mpirun -n"), ("--version", "loadgen-mpi ")):
        ended = run(tmp_path, "127.0.0.1:9", option)
        assert ended.status == 0 and ended.stdout.count(word) == 1, ended
        assert not re.search("--(slo|hdr|self-test)", ended.stdout), "these are refused"
