"""The whole experiment against stand-ins: what it prints, what it keeps, and that it cleans up."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echobench.plan import block_order
from echobench.tests.sample import result
from echobench.tests.stand_ins import StandIns

SCRIPTS = Path(__file__).resolve().parents[2]


@pytest.fixture
def stand_ins(tmp_path: Path) -> Iterator[StandIns]:
    directory = tmp_path / "bin"
    directory.mkdir()
    programs = StandIns(directory)
    yield programs
    assert [pid for pid in programs.pids() if is_alive(pid)] == []


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start(
    stand_ins: StandIns, *options: str, wrapper: tuple[str, ...] = ()
) -> "subprocess.Popen[str]":
    stand_ins.install()
    command = [*wrapper, sys.executable, "-m", "echobench.quickstart", f"--bin={stand_ins.bin}"]
    return subprocess.Popen(
        [*command, f"--out={out_of(stand_ins)}", "--duration=0.01", "--warmup=0.01", *options],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    stand_ins: StandIns, *options: str, wrapper: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    process = start(stand_ins, *options, wrapper=wrapper)
    stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def out_of(stand_ins: StandIns) -> Path:
    return stand_ins.bin.parent / "out"


def slices_of(stand_ins: StandIns) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out_of(stand_ins) / "slices.jsonl").open()]


def manifest_of(stand_ins: StandIns) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((out_of(stand_ins) / "manifest.json").read_text())
    return manifest


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def test_both_backends_are_compared(stand_ins: StandIns) -> None:
    done = run(stand_ins, "--blocks=6", "--seed=5", "--connections=77")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert "io_uring is faster than epoll here (throughput x 1.100" in done.stdout
    assert "12 slices: 12 valid, 0 questionable, 0 invalid" in done.stdout
    slices, manifest = slices_of(stand_ins), manifest_of(stand_ins)
    for block in range(6):
        ran = [(each["workload"], each["subject"]) for each in slices if each["block"] == block]
        assert ran == block_order(["epoll", "io_uring"], ["77 connections"], 5, block)
    assert manifest["command"] == [
        "scripts/quickstart", "--duration=0.01", "--warmup=0.01", "--blocks=6", "--connections=77",
        "--seed=5",
    ]
    assert manifest["seed"] == 5
    assert manifest["finished_at"] is not None
    assert manifest["versions"]["loadgen"] == "loadgen 0.0 (stand-in)"
    assert slices[0]["result"]["verdict"]["status"] == "valid"
    assert slices[0]["client_stderr"] == "the stand-in speaks\n"
    assert slices[0]["client_command"][1:3] == ["127.0.0.1:1", "--connections=77"]
    assert "Measured on" in (out_of(stand_ins) / "report.html").read_text()
    assert len(stand_ins.pids()) == 2 + 2 * 12


def test_each_side_has_a_cpu_of_its_own(stand_ins: StandIns) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one usable CPU")
    run(stand_ins, "--blocks=1")
    pinned = {
        option
        for side in ("server_command", "client_command")
        for option in slices_of(stand_ins)[0][side]
        if option.startswith("--cpu=")
    }
    assert len(pinned) == 2


def test_on_one_cpu_it_says_so_and_pins_nothing(stand_ins: StandIns) -> None:
    cpu = min(os.sched_getaffinity(0))
    done = run(stand_ins, "--blocks=1", wrapper=("taskset", "-c", str(cpu)))
    assert done.returncode == 0
    assert "one usable CPU" in done.stderr
    for each in slices_of(stand_ins):
        assert "--cpu" not in " ".join(each["server_command"] + each["client_command"])


def test_without_io_uring_epoll_is_measured_alone(stand_ins: StandIns) -> None:
    stand_ins.behaviour["unavailable"] = ["io_uring"]
    done = run(stand_ins, "--blocks=2")
    assert done.returncode == 0
    assert "io_uring was not measured: io_uring is disabled: stand-in" in done.stdout
    assert [each["subject"] for each in slices_of(stand_ins)] == ["epoll", "epoll"]
    assert manifest_of(stand_ins)["unavailable"] == {"io_uring": "io_uring is disabled: stand-in"}


def test_without_any_backend_it_says_why(stand_ins: StandIns) -> None:
    stand_ins.behaviour["unavailable"] = ["epoll", "io_uring"]
    done = run(stand_ins)
    assert done.returncode == 1
    assert "epoll is disabled: stand-in" in done.stderr
    assert not out_of(stand_ins).exists()


def test_an_invalid_slice_is_kept_and_shown(stand_ins: StandIns) -> None:
    invalid = result(200e3, status="invalid", code="corrupt")
    stand_ins.behaviour["clients"]["io_uring"] = {"result": invalid, "exit": 3}
    done = run(stand_ins, "--blocks=6")
    assert done.returncode == 3
    assert "12 slices: 6 valid, 0 questionable, 6 invalid" in done.stdout
    assert "invalid io_uring, corrupt, 6 x under 500 connections: because of corrupt" in done.stdout
    assert "faster" not in done.stdout
    kept = [each for each in slices_of(stand_ins) if each["client_exit"] == 3]
    assert len(kept) == 6


def test_a_load_generator_that_fails_is_kept_and_given_up(stand_ins: StandIns) -> None:
    stand_ins.behaviour["clients"]["epoll"] = {"result": None, "exit": 1}
    done = run(stand_ins)
    assert done.returncode == 1
    assert "ended with status 1\nthe stand-in speaks" in done.stderr
    assert "io_uring against epoll: does not hold." in done.stdout
    failures = [each["failure"] for each in slices_of(stand_ins) if each["subject"] == "epoll"]
    assert len(failures) == 3
    assert all("ended with status 1" in each for each in failures)


def test_a_load_generator_that_prints_no_json_is_a_failure(stand_ins: StandIns) -> None:
    stand_ins.behaviour["clients"]["epoll"] = {"result": None, "exit": 0}
    done = run(stand_ins)
    assert done.returncode == 1
    assert "printed no result: no JSON" in done.stderr


def test_where_nothing_gives_a_result_there_is_no_report(stand_ins: StandIns) -> None:
    stand_ins.behaviour["server_exit"] = 99
    done = run(stand_ins)
    assert done.returncode == 1
    assert "ended with status 99" in done.stderr
    assert "no slice has a result" in done.stderr
    assert not (out_of(stand_ins) / "report.html").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_both_sides_and_leaves_nothing(
    stand_ins: StandIns, signum: signal.Signals
) -> None:
    stand_ins.behaviour["client_hangs"] = True
    process = start(stand_ins)
    wait_for(lambda: len(stand_ins.pids()) == 4)  # two trial starts, then server and client
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert f"interrupted by {signum.name}" in stderr
    assert not any(map(is_alive, stand_ins.pids()))
    assert not out_of(stand_ins).exists()


def test_a_killed_run_leaves_no_process(stand_ins: StandIns) -> None:
    stand_ins.behaviour["client_hangs"] = True
    process = start(stand_ins)
    wait_for(lambda: len(stand_ins.pids()) == 4)
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not any(map(is_alive, stand_ins.pids())))


@pytest.mark.parametrize("option", ["--blocks=0", "--blocks=x", "--duration=-1", "--nonsense"])
def test_bad_usage_ends_with_two(stand_ins: StandIns, option: str) -> None:
    done = run(stand_ins, option)
    assert done.returncode == 2
    assert option.partition("=")[0] in done.stderr
