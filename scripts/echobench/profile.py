"""Where a server's time goes: samples of its CPU under load, by perf(1), each put to one part.

A sample is a stack. What it is put to is the first of PARTS that has one of its functions on it, so
that a message's delivery, which the kernel does for the receiver while the sender sends, is told
from what waking the receiver takes. The parts of all servers add up to the time of a message.
"""

import math
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from echobench.measure import Setup, run_slice

FREQUENCY = 4000  # samples a second
LEAD_S, WINDOW_S, TAIL_S = 0.6, 1.5, 0.4  # of a slice: before perf looks, while it does, after

USER, REST = "user space", "the way into the kernel, and what is left"
# What the names of the kernel's functions end with by which a part is known.
PARTS: Mapping[str, tuple[str, ...]] = {
    "wake who is to receive": ("sock_def_readable",),
    "send, and deliver": ("tcp_sendmsg",),
    "receive": ("tcp_recvmsg",),
    "accept": ("sys_accept4", "sys_accept", "io_accept"),
    "close": ("sys_close", "__fput"),
    "say who is ready": ("sys_epoll_wait", "sys_epoll_pwait2", "sys_epoll_ctl"),
    "io_uring's own": ("sys_io_uring_enter",),
}
ALL_PARTS = (*PARTS, REST, USER)

ORDER = ("spinning floor", "epoll", "io_uring", "plain epoll", "libevent")

_FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<function>\S+).*\((?P<where>[^()]*)\)$")


class CannotProfile(Exception):
    """perf is missing or may not look; the text says which."""


@dataclass(frozen=True)
class Profile:
    """One slice: nanoseconds of a message by part, and how many messages there were a second."""

    load: str
    subject: str
    messages_per_s: float
    ns: Mapping[str, float]


def part_of(stack: Sequence[tuple[str, str]]) -> str:
    """`stack`: functions and where each is, the innermost first."""
    kernel = {function for function, where in stack if "kernel" in where}
    if not kernel:
        return USER
    return next((part for part, ends in PARTS.items()
                 if any(function.endswith(ends) for function in kernel)), REST)


def count(script: str) -> Counter[str]:
    """Samples by part, from what `perf script -F ip,sym,dso` prints."""
    counted: Counter[str] = Counter()
    for sample in script.split("\n\n"):
        frames = [_FRAME.match(line) for line in sample.splitlines()]
        stack = [(frame["function"], frame["where"]) for frame in frames if frame]
        if stack:
            counted[part_of(stack)] += 1
    return counted


def profile(setup: Setup) -> Profile:
    """Runs a slice that lasts LEAD_S + WINDOW_S + TAIL_S or longer, and looks at its server's CPU.
    Raises CannotProfile."""
    perf = shutil.which("perf")
    if perf is None or setup.cpu is None:
        raise CannotProfile("perf is not there" if perf is None else "there is one CPU only")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        command = [perf, "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-g", "-C",
                   str(setup.cpu), "-o", str(data), "--", "sleep", str(WINDOW_S)]
        started = time.monotonic()
        watching: list[subprocess.Popen[bytes]] = []

        def tick() -> None:
            if not watching and time.monotonic() - started >= LEAD_S:
                watching.append(subprocess.Popen(command, stderr=subprocess.PIPE))

        measured = run_slice(setup, tick)
        said = b"".join(each.communicate()[1] for each in watching)
        if measured.result is None or not data.exists():
            raise CannotProfile(measured.failure or said.decode().strip() or "perf did not run")
        comm = Path(measured.server_command[0]).name[:15]
        script = subprocess.run(
            [perf, "script", "-i", str(data), "--comms", comm, "-F", "ip,sym,dso"],
            capture_output=True, text=True, check=True).stdout
    rate = float(measured.result["throughput"]["messages_per_s"])
    ns_of_a_sample = 1e9 / FREQUENCY / (rate * WINDOW_S)
    counted = count(script)
    return Profile(setup.workload, setup.subject.name, rate,
                   {part: counted[part] * ns_of_a_sample for part in ALL_PARTS})


def table(profiles: Sequence[Profile], load: str) -> list[list[str]]:
    """A row for each part that took time under this load, in nanoseconds of a message: means, with
    their standard errors."""
    here = [each for each in profiles if each.load == load]
    subjects = list(dict.fromkeys(each.subject for each in sorted(here, key=_place)))
    rows = [[load, *subjects]]
    for part in ALL_PARTS:
        if any(each.ns[part] for each in here):
            rows.append([part, *(_mean([each.ns[part] for each in here if each.subject == name])
                                 for name in subjects)])
    rows.append(["together", *(_mean([sum(each.ns.values()) for each in here
                                      if each.subject == name]) for name in subjects)])
    return rows


def _place(each: Profile) -> int:
    return ORDER.index(each.subject)


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "-"
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.0f} ± {error:.0f}"
