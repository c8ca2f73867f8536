"""Ranks of loadgen-mpi that die, are stopped or interrupted: the others do not wait for ever, and
the report says who it was."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mpi_job import Ended, job, needs_mpi
from server_process import EchoServer, StartServer
from stall import stop_for
from test_mpi import expect_sum

pytestmark = needs_mpi

RANKS = 4
RECOVERY = ("--mca", "orte_enable_recovery", "1")  # mpirun lets the others go on


# Leaves the machine idle.
LOAD = ["-c", 20, "-r", 400, "-w", 0, "--timeout=2s", "--busy-poll=off", "--interval=200ms"]


def target(server: EchoServer) -> str:
    return f"127.0.0.1:{server.port}"


@pytest.fixture
def server(launch: StartServer) -> EchoServer:
    return launch("--port=0")


def verdict_of(ended: Ended, rank: int) -> dict[str, Any]:
    assert ended.result is not None, ended
    found: dict[str, Any] = ended.result["ranks"][rank]["verdict"]
    return found


def expect_lost(ended: Ended, rank: int) -> None:
    """That one, and no other."""
    assert ended.result is not None, ended
    assert [row["lost"] for row in ended.result["ranks"]] == [i == rank for i in range(RANKS)]
    assert ended.result["verdict"]["status"] == "invalid"
    reasons = {reason["code"]: reason["message"] for reason in ended.result["verdict"]["reasons"]}
    assert f"rank {rank} (" in reasons["rank_lost"]
    expect_sum(ended.result, RANKS)
    assert ended.stdout.count("rank_lost: nothing was heard of rank") == 1
    assert ended.result["totals"]["messages"] > 0


def test_killed_rank_of_a_job_that_mpirun_then_kills(server: EchoServer, tmp_path: Path) -> None:
    """mpirun sends SIGTERM to the others and SIGKILL a second later; the report is there before."""
    with job(tmp_path, target(server), *LOAD, "-d", "20s") as started:
        os.kill(started.await_load(server)[2], signal.SIGKILL)
        ended = started.end()
    assert ended.result is not None and ended.result["aborted"] is True, ended
    assert ended.status == 128 + signal.SIGKILL, "mpirun's, for the rank that was killed"
    assert ended.seconds < 15
    expect_lost(ended, 2)


@pytest.mark.parametrize("who", [1, 3])
def test_killed_rank_of_a_job_that_goes_on(server: EchoServer, tmp_path: Path, who: int) -> None:
    with job(tmp_path, target(server), *LOAD, "-d", "3s", mpirun=RECOVERY) as started:
        os.kill(started.await_load(server)[who], signal.SIGKILL)
        ended = started.end()
    assert ended.result is not None and ended.result["aborted"] is False, ended
    expect_lost(ended, who)
    rest = [row for row in ended.result["ranks"] if not row["lost"]]
    assert [row["totals"]["elapsed_s"] for row in rest] == [3.0] * 3


def test_killed_first_rank(server: EchoServer, tmp_path: Path) -> None:
    """Nobody is left to report; the others end when their part is over, and say why."""
    with job(tmp_path, target(server), *LOAD, "-d", "3s", mpirun=RECOVERY) as started:
        os.kill(started.await_load(server)[0], signal.SIGKILL)
        ended = started.end()
    assert ended.result is None
    assert ended.lines() and all("rank 0 (" in line and "lost" in line for line in ended.lines())
    assert ended.seconds < 25


def test_rank_that_is_stopped_for_a_second(server: EchoServer, tmp_path: Path) -> None:
    with job(tmp_path, target(server), *LOAD, "-d", "4s") as started:
        pid = started.await_load(server)[1]
        stopped = stop_for(pid, 1)
        ended = started.end()
    assert ended.result is not None and ended.status == 0, ended
    assert not any(row["lost"] for row in ended.result["ranks"])
    client = ended.result["ranks"][1]["client"]
    assert client["longest_stall_s"] == pytest.approx(stopped, rel=0.3)
    for rank in (0, 2, 3):
        assert ended.result["ranks"][rank]["client"]["longest_stall_s"] < 0.5 * stopped
    assert "client_stalled" in [reason["code"] for reason in verdict_of(ended, 1)["reasons"]]
    assert any(reason["code"] == "rank_questionable" and "rank 1 (" in reason["message"]
               for reason in ended.result["verdict"]["reasons"])
    assert "unsteady_throughput" not in ended.codes(), "the server is not blamed for it"
    expect_sum(ended.result, RANKS)


def test_rank_that_is_stopped_for_good(server: EchoServer, tmp_path: Path) -> None:
    with job(tmp_path, target(server), *LOAD, "-d", "3s") as started:
        os.kill(started.await_load(server)[3], signal.SIGSTOP)
        ended = started.end()
    assert ended.seconds < 20
    expect_lost(ended, 3)
    assert ended.status == 3


@pytest.mark.parametrize("whom", ["mpirun", "rank 0", "rank 2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(server: EchoServer, tmp_path: Path, whom: str,
                     number: signal.Signals) -> None:
    """mpirun makes SIGTERM of either, and kills a second later."""
    with job(tmp_path, target(server), *LOAD, "-d", "20s") as started:
        pids = started.await_load(server)
        pid = started.process.pid if whom == "mpirun" else pids[int(whom[-1])]
        os.kill(pid, number)
        ended = started.end()
    assert ended.result is not None and ended.result["aborted"] is True, ended
    assert ended.seconds < 15
    assert not any(row["lost"] for row in ended.result["ranks"])
    expect_sum(ended.result, RANKS)
    assert "ended early by a signal" in ended.stdout
    assert ended.status == (1 if whom == "mpirun" else 128 + number)
