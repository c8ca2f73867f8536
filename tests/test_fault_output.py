"""Where a result cannot be written: the earlier one survives, the summary is printed all the same,
and the exit code says so."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from evidence import Evidence
from loadgen_fixtures import (CountingEcho, Run, Server, check_result, finish, lying_server,
                              one_line, program, start, stopped_at_end)
from scale import tries
from server_process import environment

ROW = "output"
EARLIER = "an earlier result\n"
NOBODY = 65534
LOAD = ["--warmup=0", "-n", 20]
OUTPUTS = ["json", "hdr", "csv"]


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    with lying_server("none") as server:
        yield server


def expect_failure(ended: Run, reason: str) -> None:
    assert ended.status == 1, ended
    assert "p50" in ended.stdout and "verdict" in ended.stdout, "the summary is not printed"
    assert one_line(ended.stderr) and reason in ended.stderr, ended.stderr


# --- A full file system ---------------------------------------------------------------------------


FULL_TMPFS = """
mount -t tmpfs -o size=32k none "$1" || exit 77
printf '%s\\n' 'an earlier result' > "$1/result"
cat /dev/zero > "$1/ballast" 2> /dev/null
"$2" "$3" --warmup=0 -n 20 "--$4=$1/result"
status=$?
cp "$1/result" "$5"
ls "$1" > "$6"
exit $status
"""


@pytest.mark.parametrize("option", OUTPUTS)
def test_a_full_file_system(echo: Server, evidence: Evidence, tmp_path: pathlib.Path,
                            option: str) -> None:
    mounted, kept, listing = tmp_path / "full", tmp_path / "kept", tmp_path / "listing"
    mounted.mkdir()
    began = time.monotonic()
    process = subprocess.Popen(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", FULL_TMPFS, "sh", str(mounted),
         program("loadgen"), echo.address, option, str(kept), str(listing)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    with stopped_at_end(process):
        ended = finish(process, began)
    if ended.status == 77 or "unshare" in ended.stderr:
        pytest.skip(f"no tmpfs can be mounted here: {ended.stderr.strip()}")
    expect_failure(ended, "No space left")
    assert kept.read_text() == EARLIER
    assert listing.read_text().split() == ["ballast", "result"], "it left something behind"
    evidence(ROW, full_file_systems=1, earlier_results_lost=0)


# --- Each call that can fail ----------------------------------------------------------------------


def strace() -> list[str]:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("there is no strace here")
    tried = subprocess.run([found, "-qq", "-o", "/dev/null", "true"], capture_output=True)
    if tried.returncode != 0:
        pytest.skip(f"strace cannot trace here: {tried.stderr!r}")
    return [found, "-f", "-qq", "-e", "signal=none"]


def traced(tracer: Sequence[str], *arguments: object) -> Run:
    """A leak cannot be looked for while another traces (LeakSanitizer)."""
    options = {**environment(), "LSAN_OPTIONS": "detect_leaks=0"}
    options["ASAN_OPTIONS"] = options.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    began = time.monotonic()
    process = subprocess.Popen(
        [*tracer, program("loadgen"), *map(str, arguments)], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=options)
    with stopped_at_end(process):
        return finish(process, began)


# The first write of the main thread is the summary, the second the file, the third the complaint.
CALLS = {"write": "write:{}:when=2", "fsync": "fsync:{}",
         "rename": "?rename,?renameat,?renameat2:{}"}
ERRORS = {"ENOSPC": "No space left", "EIO": "Input/output error"}


@pytest.mark.parametrize("option", OUTPUTS[:tries(1, 3)])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails(echo: Server, evidence: Evidence, tmp_path: pathlib.Path, call: str,
                           error: str, option: str) -> None:
    target = tmp_path / "result"
    target.write_text(EARLIER)
    inject = "inject=" + CALLS[call].format(f"error={error}")
    tracer = [*strace(), "-o", "/dev/null", "-e", inject]
    expect_failure(traced(tracer, echo.address, *LOAD, f"--{option}={target}"), ERRORS[error])
    assert target.read_text() == EARLIER
    assert list(tmp_path.iterdir()) == [target], "it left something behind"
    evidence(ROW, failed_calls=1, earlier_results_lost=0)


@pytest.mark.parametrize("call", CALLS)
def test_killed_in_the_middle(echo: Server, tmp_path: pathlib.Path, call: str) -> None:
    """There is the earlier result or the new one, and never a part of one."""
    target = tmp_path / "result"
    target.write_text(EARLIER)
    inject = "inject=" + CALLS[call].format("signal=KILL")
    ended = traced([*strace(), "-o", "/dev/null", "-e", inject], echo.address, *LOAD,
                   f"--json={target}")
    assert ended.status in (-9, 137), ended
    if target.read_text() != EARLIER:
        check_result(target.read_text())


def test_it_is_on_the_disk_before_it_has_the_name(echo: Server, tmp_path: pathlib.Path) -> None:
    target, log = tmp_path / "result", tmp_path / "log"
    calls = "trace=?open,openat,write,fsync,?rename,?renameat,?renameat2"
    ended = traced([*strace(), "-o", str(log), "-e", calls], echo.address, *LOAD,
                   f"--json={target}")
    assert ended.status == 0, ended
    steps = [line for line in log.read_text().splitlines() if str(target) in line]
    opened = re.search(r'"(\S+)", O_RDWR\|O_CREAT\|O_EXCL\S*, 0600\) = (\d+)', steps[-2])
    assert opened and opened[1].startswith(f"{target}."), steps
    renamed = re.search(rf'rename\w*\(.*"{opened[1]}", .*"{target}"', steps[-1])
    assert renamed, steps
    between = log.read_text().split(steps[-2])[1].split(steps[-1])[0]
    done = re.findall(rf"(write|fsync)\({opened[2]}\b", between)
    assert done[0] == "write" and done[-1] == "fsync", between


# --- No permission --------------------------------------------------------------------------------


@pytest.fixture
def directory() -> Iterator[pathlib.Path]:
    """One that everybody can reach, with an earlier result."""
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name)
        (path / "result").write_text(EARLIER)
        (path / "result").chmod(0o644)
        path.chmod(0o555)
        yield path
        path.chmod(0o755)


def as_nobody() -> dict[str, Any]:
    """root may write everywhere, so it is not root who runs it."""
    if os.geteuid() != 0:
        return {}
    for parent in pathlib.Path(program("loadgen")).parents:
        if not parent.stat().st_mode & 0o001:
            pytest.skip(f"{parent} is closed to others than root")
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def test_no_permission_is_noticed_before_the_run(evidence: Evidence,
                                                 directory: pathlib.Path) -> None:
    with lying_server("none") as server:
        ended = finish(start("loadgen", server.address, *LOAD, f"--json={directory / 'result'}",
                             **as_nobody()), time.monotonic())
        server.stop()
    assert ended.status == 1 and ended.stdout == "", ended
    assert one_line(ended.stderr) and "Permission denied" in ended.stderr, ended.stderr
    assert server.connections == 0, "it measured in vain"
    assert (directory / "result").read_text() == EARLIER
    evidence(ROW, without_permission=1, earlier_results_lost=0)


def test_permission_lost_during_the_run(directory: pathlib.Path) -> None:
    identity = as_nobody()
    if identity:
        os.chown(directory, NOBODY, NOBODY)
    directory.chmod(0o755)
    with CountingEcho() as echo:
        process = start("loadgen", echo.address, "--warmup=0", "-d", "600s",
                        f"--json={directory / 'result'}", **identity)
        with stopped_at_end(process):
            echo.wait_for_bytes(100 * 64, process)
            directory.chmod(0o555)
            process.terminate()
            expect_failure(finish(process, time.monotonic()), "Permission denied")
    assert (directory / "result").read_text() == EARLIER
    assert [entry.name for entry in directory.iterdir()] == ["result"]
