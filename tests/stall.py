"""Stopping a process for a while, and what then must be seen of it."""

import contextlib
import os
import signal
import time

import pytest

from expect import wait_until
from hdr_histogram import Histogram
from loadgen_fixtures import Process, Run

QUIET = os.environ.get("ECHOBENCH_QUIET") == "1"
on_a_quiet_machine = pytest.mark.skipif(not QUIET, reason="it judges times: ECHOBENCH_QUIET=1")


def await_connections(process: Process, count: int) -> None:
    def connected() -> bool:
        with contextlib.suppress(OSError):
            return len(os.listdir(f"/proc/{process.pid}/fd")) > count
        return False
    wait_until(connected, "expected loadgen to have connected", 20)


def stop_for(pid: int, seconds: float) -> float:
    """Stops a process, and returns for how long it was stopped at least."""
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    time.sleep(seconds)
    ended = time.monotonic()
    os.kill(pid, signal.SIGCONT)
    return ended - began


def expect_the_right_tail(run: Run, stalled: float, name: str, window: float = 9) -> None:
    """Of messages at an even rate those due in the stall waited until its end, evenly from nothing
    to all of it: the quantile q is the stall less (1 - q) of the window."""
    numbers = run.result[name]
    seen = {0.99: numbers["p99"], 0.999: numbers["p99_9"], 1.0: numbers["max"]}
    if name == "latency_ns":
        seen[0.95] = Histogram(run.result["histograms"]["latency"]).percentile(0.95)
    for quantile, figure in seen.items():
        right = 1e9 * (stalled - (1 - quantile) * window)
        assert figure == pytest.approx(right, rel=0.1), (quantile, numbers)
