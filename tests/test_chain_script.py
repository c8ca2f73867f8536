"""scripts/chain, run as a student does: the message, the round trips, and nothing left behind."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from server_process import PROGRAMS, Backend

ROOT = Path(__file__).resolve().parents[1]


def run_chain(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(["/usr/bin/python3", "-B", "-m", "echobench.chain", *arguments,
                           f"--bin={PROGRAMS}"], capture_output=True, text=True, timeout=150,
                          env=environment, check=False)


@pytest.mark.relays
def test_message_and_round_trips(tmp_path: Path, backend: Backend) -> None:
    out = tmp_path / "chain"
    ended = run_chain("5", "--message=good day", f"--backend={backend.name}", "--hops=1,3",
                      "--rounds=2", "--duration=0.2", f"--out={out}")
    if ended.returncode == 4:
        pytest.skip(ended.stderr.strip())
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout.splitlines()
    assert said[0] == "good day > alice > bob > carol > dave > erin"
    assert [line.split()[0] for line in said[3:5]] == ["1", "3"]
    slices = [json.loads(line) for line in (out / "slices.jsonl").read_text().splitlines()]
    assert sorted(each["workload"] for each in slices) == [
        "1 hop, 1 connection", "1 hop, 1 connection",
        "3 hops, 1 connection", "3 hops, 1 connection"]
    assert all(each["result"]["verdict"]["status"] != "invalid" for each in slices), slices


def test_16_nodes(tmp_path: Path) -> None:
    ended = run_chain("16", "--hops=none", f"--out={tmp_path / 'chain'}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count(" > ") == 16
    assert not (tmp_path / "chain").exists()


def test_missing_programs_are_told(tmp_path: Path) -> None:
    ended = subprocess.run(["/usr/bin/python3", "-B", "-m", "echobench.chain", "2",
                            f"--bin={tmp_path}"], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")}, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1 and "echo-server" in ended.stderr
