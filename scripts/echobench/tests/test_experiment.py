"""scripts/experiment against stand-ins and a little server: what it starts, keeps, goes on with."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echobench import result_set
from echobench.tests.sample import result
from echobench.tests.stand_ins import StandIns

SCRIPTS = Path(__file__).resolve().parents[2]
SERVER = textwrap.dedent("""
    import os, socket, sys
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print(os.sched_getaffinity(0), *sys.argv[2:], file=sys.stderr, flush=True)
    heap = bytearray(8 << 20)
    while True:
        listener.accept()[0].close()
""")


@pytest.fixture
def stand_ins(tmp_path: Path) -> Iterator[StandIns]:
    directory = tmp_path / "bin"
    directory.mkdir()
    programs = StandIns(directory)
    yield programs
    for pid in programs.pids():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def start(stand_ins: StandIns, *options: str) -> "subprocess.Popen[str]":
    stand_ins.install()
    command = [sys.executable, "-m", "echobench.experiment_command", f"--bin={stand_ins.bin}"]
    if not any(each.startswith("--resume") for each in options):
        command += [f"--out={out_of(stand_ins)}", "--duration=0.01", "--warmup=0.01"]
    return subprocess.Popen(
        [*command, *options],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(stand_ins: StandIns, *options: str) -> "subprocess.CompletedProcess[str]":
    process = start(stand_ins, *options)
    stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def out_of(stand_ins: StandIns) -> Path:
    return stand_ins.bin.parent / "out"


def slices_of(stand_ins: StandIns) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out_of(stand_ins) / "slices.jsonl").open()]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def test_workloads_and_subjects_make_a_folder_that_can_be_read(stand_ins: StandIns) -> None:
    done = run(stand_ins, "--subject=epoll", "--subject=b=--backend=io_uring --busy-poll=off",
               "--connections=1,10", "--blocks=2", "--seed=4", "--client-option=--verify=off")
    assert done.returncode == 0, done.stderr
    found = result_set.read(out_of(stand_ins))
    assert [each.name for each in found.manifest.subjects] == ["epoll", "b"]
    assert [each.name for each in found.manifest.workloads] == [
        "1 connection, verify=off", "10 connections, verify=off"]
    assert len(found.slices) == 8
    assert found.manifest.finished_at is not None
    assert found.manifest.command[0] == "scripts/experiment"
    assert "--connections=1,10" in found.manifest.command
    assert not any(each.startswith(("--out", "--bin")) for each in found.manifest.command)
    assert "--busy-poll=off" in next(each for each in found.slices if each.subject == "b"
                                     ).server_command
    for each in found.slices:
        wanted = f"--connections={each.workload.split()[0]}"
        assert wanted in each.client_command and "--verify=off" in each.client_command
        assert each.memory is not None and each.memory["peak_bytes"] > 0
    assert (out_of(stand_ins) / "report.html").exists()


def test_any_command_is_a_subject_and_is_pinned_and_told_the_key(stand_ins: StandIns) -> None:
    program = stand_ins.bin / "mine.py"
    program.write_text(SERVER)
    (stand_ins.bin / "backend").write_text("epoll")  # what the stand-in of loadgen plays
    done = run(stand_ins, f"--subject=mine={sys.executable} {program} {{port}} hops={{hops}}",
               "--sweep=hops=1,3", "--blocks=1", "--no-report")
    assert done.returncode == 0, done.stderr
    cpus = len(os.sched_getaffinity(0))
    for each in slices_of(stand_ins):
        assert each["server_stderr"].strip().endswith(f"hops={each['workload'].split()[0]}")
        assert cpus < 2 or each["server_stderr"].count(",") == 0, each["server_stderr"]
        assert each["memory"]["peak_bytes"] > 8 << 20
        assert each["client_command"][1].startswith("127.0.0.1:")


def test_what_is_not_there_is_skipped_visibly(stand_ins: StandIns) -> None:
    done = run(stand_ins, "--subject=gone=./no-such-server {port}", "--subject=epoll",
               f"--subject=bad={sys.executable} -c 'raise SystemExit(\"no luck\")' {{port}}",
               "--blocks=1", "--no-report")
    assert done.returncode == 0, done.stderr
    assert "gone is not to be had here: ./no-such-server is not there" in done.stderr
    assert "no luck" in done.stderr
    manifest = result_set.read(out_of(stand_ins)).manifest
    assert list(manifest.unavailable) == ["gone", "bad"]
    assert manifest.baseline == "epoll"


def test_an_interrupted_experiment_goes_on(stand_ins: StandIns) -> None:
    options = ["--subject=epoll", "--subject=io_uring", "--blocks=7", "--seed=3"]
    process = start(stand_ins, *options)
    wait_for(lambda: len(stand_ins.pids()) >= 12)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"scripts/experiment --resume={out_of(stand_ins)} goes on" in stderr
    before = slices_of(stand_ins)
    assert 0 < len(before) < 14
    with (out_of(stand_ins) / "slices.jsonl").open("a") as file:
        file.write('{"block": 6, "work')  # as a process leaves it that is killed while it writes
    done = run(stand_ins, f"--resume={out_of(stand_ins)}", "--no-report")
    assert done.returncode == 0, done.stderr
    after = slices_of(stand_ins)
    assert after[: len(before)] == before
    assert sorted((each["block"], each["subject"]) for each in after) == [
        (block, subject) for block in range(7) for subject in ("epoll", "io_uring")]
    assert run(stand_ins, f"--resume={out_of(stand_ins)}", "--no-report").returncode == 0
    assert slices_of(stand_ins) == after
    done = run(stand_ins, f"--resume={out_of(stand_ins)}", "--blocks=8", "--no-report")
    assert len(slices_of(stand_ins)) == 16


def test_other_programs_do_not_go_on(stand_ins: StandIns) -> None:
    assert run(stand_ins, "--subject=epoll", "--blocks=1", "--no-report").returncode == 0
    program = stand_ins.bin / "loadgen"
    program.write_text(program.read_text().replace("loadgen 0.0", "loadgen 9.9"))
    done = run(stand_ins, f"--resume={out_of(stand_ins)}", "--blocks=2", "--no-report")
    assert done.returncode == 1
    assert "was begun with loadgen loadgen 0.0" in done.stderr
    assert len(slices_of(stand_ins)) == 1


def test_until_stops_when_it_is_narrow_and_at_the_limit(stand_ins: StandIns) -> None:
    options = ("--subject=epoll", "--subject=io_uring", "--until=2%", "--no-report")
    assert run(stand_ins, *options, "--max-blocks=30").returncode == 0
    assert len(slices_of(stand_ins)) == 2 * 10  # the same figures each time, so at the first look
    (out_of(stand_ins) / "slices.jsonl").unlink()
    (out_of(stand_ins) / "manifest.json").unlink()
    out_of(stand_ins).rmdir()
    stand_ins.behaviour["clients"]["epoll"] = {
        "result": [result(100e3), result(150e3)], "exit": 0}
    assert run(stand_ins, *options, "--max-blocks=12").returncode == 0
    assert len(slices_of(stand_ins)) == 2 * 12


@pytest.mark.parametrize("options", [
    (), ("--subject=nonsense",), ("--preset=nonsense",), ("--subject=epoll", "--subject=epoll"),
    ("--subject=epoll", "--connections=1,1"), ("--subject=epoll", "--connections=x"),
    ("--subject=epoll", "--baseline=poll"), ("--subject=epoll", "--until=2"),
    ("--subject=epoll", "--sweep=port=1"), ("--subject=epoll", "--blocks=0"),
    ("--subject=epoll", "--duration=nan"), ("--resume=/nowhere",), ("--subject=x=./srv",),
])
def test_bad_usage_is_one_line_and_ends_with_two(
    stand_ins: StandIns, options: tuple[str, ...]
) -> None:
    done = run(stand_ins, *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert not out_of(stand_ins).exists()
