"""The wall clock is set by an hour in the middle of a run: no figure changes, for only the date of
a result comes from it. A library in front of libc's clocks sets it, for the program under test
only."""

import json
import pathlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from conversation import ask
from evidence import Evidence
from expect import wait_until
from loadgen_fixtures import ENGINES, Server, loadgen, lying_server
from scale import tries
from server_process import SANITIZER, StartServer, environment

ROW = "clock step"
HOUR = 3600
STEPPED_AFTER = 0.1  # seconds

pytestmark = pytest.mark.skipif(SANITIZER != "", reason="its run-time library has to come first")

# Each reading of the wall clock is noted in $CLOCK_LOG, and from some time on it is off.
STEPPED_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct timespec begin;

__attribute__((constructor)) static void note_begin(void) {
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &begin);
}

static void read_wall_clock(struct timespec *now) {
  struct timespec since;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &since);
  syscall(SYS_clock_gettime, CLOCK_REALTIME, now);
  const double elapsed = since.tv_sec - begin.tv_sec + (since.tv_nsec - begin.tv_nsec) / 1e9;
  if (elapsed >= atof(getenv("CLOCK_AFTER"))) now->tv_sec += atol(getenv("CLOCK_BY"));
  const int log = open(getenv("CLOCK_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (log < 0 || write(log, ".", 1) != 1) _exit(70);
  close(log);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
    return syscall(SYS_clock_gettime, clock, now);
  read_wall_clock(now);
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec wall;
  read_wall_clock(&wall);
  now->tv_sec = wall.tv_sec;
  now->tv_usec = wall.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec wall;
  read_wall_clock(&wall);
  if (now) *now = wall.tv_sec;
  return wall.tv_sec;
}
"""


class SteppedClock:
    def __init__(self, directory: pathlib.Path, library: pathlib.Path) -> None:
        self.library, self.log = library, directory / "readings"

    def environment(self, by: int, after: float = STEPPED_AFTER) -> dict[str, str]:
        self.log.write_text("")
        return {"LD_PRELOAD": str(self.library), "CLOCK_LOG": str(self.log), "CLOCK_BY": str(by),
                "CLOCK_AFTER": str(after)}

    def readings(self) -> int:
        return len(self.log.read_text())


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    directory = tmp_path_factory.mktemp("clock")
    source, built = directory / "clock.c", directory / "clock.so"
    source.write_text(STEPPED_CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(built), str(source)], check=True)
    return built


@pytest.fixture
def clock(tmp_path: pathlib.Path, library: pathlib.Path) -> SteppedClock:
    return SteppedClock(tmp_path, library)


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    with lying_server("none") as server:
        yield server


def started_at(result: dict[str, Any]) -> float:
    text = result["started_at"].replace("Z", "+00:00")
    return datetime.fromisoformat(text).astimezone(timezone.utc).timestamp()


@pytest.mark.parametrize("by", [HOUR, -HOUR])
@pytest.mark.parametrize("load", [("-p", 4), ("-r", 2000), ("--churn=5",)],
                         ids=["closed", "open", "churn"])
@pytest.mark.parametrize("engine", ENGINES)
def test_no_figure_changes(echo: Server, clock: SteppedClock, evidence: Evidence, engine: str,
                           load: tuple[object, ...], by: int) -> None:
    seconds = tries(1, 10) * 0.3
    began = time.time()
    run = loadgen(echo.address, f"--backend={engine}", "-c", 2, "-d", f"{int(seconds * 1000)}ms",
                  "--interval=100ms", *load, env={**environment(), **clock.environment(by)})
    result = run.result
    totals = result["totals"]
    codes = {reason["code"] for reason in result["verdict"]["reasons"]}
    assert run.status == 0 or "rate_not_achieved" in codes, run  # which a busy machine may not do
    assert totals["unanswered"] == 0
    assert totals["elapsed_s"] == pytest.approx(seconds, rel=0.01)
    assert totals["errors"] == {} and totals["messages"] > 0
    assert [one["t_s"] for one in result["intervals"]] == pytest.approx(
        [0.1 * (i + 1) for i in range(len(result["intervals"]))])
    for figures in ("latency_ns", "service_ns"):
        assert 0 < result[figures]["min"] <= result[figures]["max"] < (HOUR // 2) * 10**9
    date_is_off = started_at(result) - began
    assert min(abs(date_is_off), abs(date_is_off - by)) < HOUR / 2, date_is_off
    assert 1 <= clock.readings() <= 2, "the date of the result is all that it is asked for"
    evidence(ROW, steps=1, messages=totals["messages"], wrong_figures=0)


def test_what_is_stepped_is_the_clock_of_the_program(echo: Server, clock: SteppedClock) -> None:
    """Else the test above would show nothing: stepped before it begins, it begins in an hour."""
    run = loadgen(echo.address, "-n", 10,
                  env={**environment(), **clock.environment(HOUR, after=0)})
    assert abs(started_at(json.loads(run.stdout)) - time.time() - HOUR) < HOUR / 2


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_the_server_does_not_ask_for_it(start_server: StartServer, clock: SteppedClock,
                                        evidence: Evidence, by: int) -> None:
    """No timeout of an hour is over, and none of 100 ms comes an hour late."""
    patient = start_server("--idle-timeout=30m", extra_environment=clock.environment(by, after=0))
    connection = patient.connect()
    ask(connection)
    hasty = start_server("--idle-timeout=100ms", extra_environment=clock.environment(by, after=0))
    idle = hasty.connect()
    idle.settimeout(20)
    assert idle.recv(1) == b""
    ask(connection)
    assert patient.counters()["timed_out"] == 0
    wait_until(lambda: hasty.counters()["timed_out"] == 1, "the idle one should have been counted")
    assert clock.readings() == 0, "it asks what time of day it is"
    evidence(ROW, steps=1, wrong_timeouts=0)
