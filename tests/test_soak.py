"""scripts/soak: each backend stands everything at once, and what is lost or kept is noticed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evidence import Evidence
from scale import tries
from server_process import PROGRAMS, Backend, scaled

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from echobench.soak import CannotRun, Finding, Plan, soak  # noqa: E402

SHORT = Plan(seconds=0.3, connections=30, idle_s=0.2, patience_s=1)


def test_nothing_is_lost_and_nothing_is_kept(backend: Backend, evidence: Evidence) -> None:
    plan = Plan(seconds=tries(1, 120) / 2, connections=scaled(tries(50, 500)),
                idle_s=tries(1, 20) / 4)
    try:
        found = soak(PROGRAMS, backend.name, plan)
    except CannotRun as error:
        if error.unavailable:
            pytest.skip(str(error))
        raise
    assert not found.problems
    tally = found.tally
    assert min(tally.resets, tally.half_closes, tally.slow_readers, found.pauses,
               found.shortages) > 0, f"expected every fault to have been tried: {found}"
    assert tally.bytes_checked > 0 and tally.bytes_lost == 0
    evidence("soak", seconds=plan.seconds, connections=tally.connections,
             messages=tally.messages, bytes_checked=tally.bytes_checked, bytes_lost=0,
             resets=tally.resets, half_closes=tally.half_closes,
             slow_readers=tally.slow_readers, pauses=found.pauses, shortages=found.shortages)


def soak_stand_in(directory: Path, *command: str) -> Finding:
    """In the place of echo-server."""
    program = directory / "echo-server"
    program.write_text(f"#!/bin/sh\nexec /usr/bin/python3 -B {ROOT}/tests/{' '.join(command)}\n")
    program.chmod(0o755)
    return soak(directory, "epoll", SHORT)


def test_wrong_byte_is_noticed(tmp_path: Path) -> None:
    found = soak_stand_in(tmp_path, "lying_server.py", "--fault=flip", "--at=100000")
    assert any("wrong bytes" in problem for problem in found.problems), found
    assert found.tally.bytes_lost > 0


def test_kept_descriptors_are_noticed(tmp_path: Path) -> None:
    found = soak_stand_in(tmp_path, "leaky_server.py", "descriptors")
    assert found.descriptors_after > found.descriptors_before
    assert any("descriptors again" in problem for problem in found.problems), found


def test_kept_memory_is_noticed(tmp_path: Path) -> None:
    found = soak_stand_in(tmp_path, "leaky_server.py", "memory")
    assert any("kept" in problem for problem in found.problems), found


def test_spinning_is_noticed(tmp_path: Path) -> None:
    found = soak_stand_in(tmp_path, "leaky_server.py", "spinning")
    assert any("of a CPU" in problem for problem in found.problems), found


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["/usr/bin/python3", "-B", "-m", "echobench.soak_command", *arguments],
                          capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")})


def test_table_and_record(tmp_path: Path) -> None:
    ended = command("--minutes=0.005", "--backend=epoll", "--connections=20", f"--bin={PROGRAMS}",
                    f"--json={tmp_path / 'soak.json'}")
    assert ended.returncode == 0, ended
    assert ended.stdout.splitlines()[2].startswith("epoll "), ended.stdout
    record = json.loads((tmp_path / "soak.json").read_text())
    assert [each["backend"] for each in record["soaks"]] == ["epoll"]
    assert record["soaks"][0]["tally"]["bytes_lost"] == 0


@pytest.mark.parametrize("argument", ["--minutes=0", "--minutes=ten", "--backend=kqueue",
                                      "--connections=0", "--seed=-1"])
def test_bad_usage(argument: str) -> None:
    ended = command(argument)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1 and argument.split("=")[0] in ended.stderr


def test_missing_program_is_told(tmp_path: Path) -> None:
    ended = command(f"--bin={tmp_path}")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1 and "echo-server" in ended.stderr
