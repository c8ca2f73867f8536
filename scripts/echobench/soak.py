"""One server under load and faults at once: what it lost, and what it did not give back.

The clients come and go, 1 % of them a second, by half-closes and by resets in the middle of a
message; some send and read nothing for a while; the server is stopped for a moment (SIGSTOP), and
has no descriptor left for a moment (prlimit(2)). Every byte is checked. Afterwards the server's
descriptors, its memory and its idle CPU must be what they were after a first, short round.
"""

import contextlib
import itertools
import os
import random
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from echobench.costs import cpu_seconds
from echobench.crowd import Crowd, Tally
from echobench.memory import resident_bytes
from echobench.processes import Program

READY_S = 30.0
STEP_S = 0.05
STOPPED_S = 0.2
SHORT_OF_FILES_S = 0.5
READS_NOTHING_S = 1.0
CHURN = 0.01  # of the clients, a second
AT_LEAST = 4  # times that each fault is tried, however short the run
FIRST_ROUND_S = 10.0
RARELY_S = 10.0  # between two faults of the whole server
UNAVAILABLE = 4

MEMORY_DRIFT = 1 << 20
IDLE_CPU_SHARE = 0.01
ONCE_S = 0.05  # of CPU time, that something which happens once may take


class CannotRun(Exception):
    """The server did not start; `unavailable` where this machine lacks the backend."""

    def __init__(self, text: str, unavailable: bool) -> None:
        super().__init__(text)
        self.unavailable = unavailable


@dataclass(frozen=True)
class Plan:
    """How long, with how many clients; how long the server is watched idle, and waited for."""

    seconds: float
    connections: int
    idle_s: float = 5.0
    seed: int = 1
    patience_s: float = 60.0  # that the last bytes, or descriptors, may take


@dataclass
class Finding:
    """What became of one backend. Memory is the server's own, without what its sockets cost."""

    backend: str
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    pauses: int = 0
    shortages: int = 0
    descriptors_before: int = 0
    descriptors_after: int = 0
    memory_before: int = 0
    memory_after: int = 0
    memory_peak: int = 0
    idle_cpu_percent: float = 0.0
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """For the record."""
        return asdict(self)


class Server:
    """The one that is soaked, and what is done to all of it."""

    def __init__(self, program: Program, address: tuple[str, int]) -> None:
        self.address = address
        self.pid = program.pid
        self.program = program
        self._limit = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)

    def descriptors(self) -> int:
        """As many as it holds."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self) -> int:
        """Its own, resident."""
        return resident_bytes(self.pid) or 0

    def stop(self) -> None:
        """As Ctrl-Z does."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After stop()."""
        os.kill(self.pid, signal.SIGCONT)

    def take_descriptors_away(self) -> None:
        """It may open none from the lowest number that is free."""
        taken = set(map(int, os.listdir(f"/proc/{self.pid}/fd")))
        free = next(number for number in itertools.count() if number not in taken)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (free, self._limit[1]))

    def give_descriptors_back(self) -> None:
        """As many as at its start."""
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self._limit)


@dataclass
class Act:
    """Something that is done again and again."""

    every_s: float
    do: Callable[[], None]
    next_at: float


class Soak:
    """One run against one server."""

    def __init__(self, plan: Plan, server: Server, finding: Finding) -> None:
        self.plan = plan
        self.server = server
        self.finding = finding
        self.crowd = Crowd(server.address, random.Random(plan.seed))
        self._acts: list[Act] = []
        self._undo: list[tuple[float, Callable[[], None]]] = []

    def round(self, seconds: float) -> None:
        """Everything at once, for so long."""
        begun = time.monotonic()
        churn = max(CHURN * self.plan.connections / 2, AT_LEAST / seconds)  # of either kind
        rarely = min(RARELY_S, seconds / AT_LEAST)
        silence = min(READS_NOTHING_S, seconds / AT_LEAST)
        self._acts = [
            Act(1 / churn, self.crowd.one_leaves, begun + 0.5 / churn),
            Act(1 / churn, self.crowd.one_resets, begun + 1 / churn),
            Act(1 / churn, partial(self.crowd.one_reads_nothing, silence), begun),
            Act(rarely, self._pause, begun + 0.3 * rarely),
            Act(rarely, self._run_out_of_descriptors, begun + 0.6 * rarely),
            Act(1.0, self._look, begun),
        ]
        while (now := time.monotonic()) < begun + seconds:
            self.crowd.step(STEP_S)
            self._do_what_is_due(now)
        self._put_back()

    def come_to_rest(self) -> None:
        """Everybody gets what is owed, and nothing more is said."""
        self.crowd.say_no_more()
        self._until(self.crowd.is_silent, "everybody had all bytes back")

    def leave(self, descriptors: int) -> None:
        """All half-close, get FIN, and the server is left with what it held before they came."""
        self.crowd.all_finish()
        self._until(lambda: not self.crowd.clients, "every connection had ended")
        self._until(lambda: self.server.descriptors() == descriptors,
                    f"the server held {descriptors} descriptors again")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + self.plan.patience_s
        while not condition():
            if time.monotonic() > end:
                self.finding.problems.append(
                    f"it was not so within {self.plan.patience_s:g} s that {what}")
                return
            self.crowd.step(STEP_S)
            self.crowd.look_for_stuck()

    # ---- what is done to the server

    def _do_what_is_due(self, now: float) -> None:
        for act in self._acts:
            if now >= act.next_at:
                act.do()
                act.next_at += act.every_s
        due = [each for each in self._undo if now >= each[0]]
        self._undo = [each for each in self._undo if each not in due]
        for _, undo in due:
            undo()

    def _put_back(self) -> None:
        for _, undo in self._undo:
            undo()
        self._undo.clear()

    def _pause(self) -> None:
        self.finding.pauses += 1
        self.server.stop()
        self._undo.append((time.monotonic() + STOPPED_S, self.server.go_on))

    def _run_out_of_descriptors(self) -> None:
        self.finding.shortages += 1
        self.server.take_descriptors_away()
        self.crowd.come(1)  # whom it can't accept before

        def give_back() -> None:
            self.server.give_descriptors_back()
            self.crowd.one_leaves(another_comes=False)

        self._undo.append((time.monotonic() + SHORT_OF_FILES_S, give_back))

    def _look(self) -> None:
        self.crowd.look_for_stuck()
        self.finding.memory_peak = max(self.finding.memory_peak, self.server.memory())


# ---- a whole run


def soak(bin_directory: Path, backend: str, plan: Plan) -> Finding:
    """Raises CannotRun. What was lost or has drifted is in the finding's problems."""
    finding = Finding(backend)
    with _server(bin_directory, backend) as server:
        begun = time.monotonic()
        finding.descriptors_before = server.descriptors()
        lost_before = _first_round(plan, server, finding)
        finding.memory_before = server.memory()
        run = Soak(plan, server, finding)
        with contextlib.closing(run.crowd):
            run.crowd.come(plan.connections)
            run.round(plan.seconds)
            run.come_to_rest()
            finding.idle_cpu_percent = _idle_cpu(server, plan.idle_s)
            run.leave(finding.descriptors_before)
        finding.tally = run.crowd.tally
        finding.tally.bytes_lost += lost_before
        finding.problems += run.crowd.problems
        finding.descriptors_after = server.descriptors()
        finding.memory_after = server.memory()
        finding.seconds = time.monotonic() - begun
        _judge_end(server, finding)
    _judge_drift(plan, finding, _is_sanitized(bin_directory))
    return finding


def _first_round(plan: Plan, server: Server, finding: Finding) -> int:
    """What a server takes once, it has taken then. The bytes that were lost."""
    warm = Soak(plan, server, Finding(finding.backend))
    with contextlib.closing(warm.crowd):
        warm.crowd.come(plan.connections)
        warm.round(min(FIRST_ROUND_S, plan.seconds))
        warm.come_to_rest()
        warm.leave(finding.descriptors_before)
    finding.problems += warm.finding.problems + warm.crowd.problems
    return warm.crowd.tally.bytes_lost


@contextlib.contextmanager
def _server(bin_directory: Path, backend: str) -> Iterator[Server]:
    command = [str(bin_directory / "echo-server"), f"--backend={backend}", "--port=0"]
    with Program(command, stdout_pipe=True) as program:
        line = program.first_line(READY_S)
        found = re.fullmatch(r"listening on ([0-9.]+):(\d+) \(\w+\)", line or "")
        if found is None:
            status = program.stop()
            said = program.stderr().strip() or f"said {line!r}"
            raise CannotRun(f"{backend}: {said}", unavailable=status == UNAVAILABLE)
        server = Server(program, (found[1], int(found[2])))
        try:
            yield server
        finally:
            if program.status is None:
                server.go_on()


def _idle_cpu(server: Server, seconds: float) -> float:
    """Percent of a CPU, while all connections are open and nobody says anything."""
    time.sleep(0.1)  # a spin ends 50 us after the last event
    begun, used = time.monotonic(), cpu_seconds(server.pid)
    time.sleep(seconds)
    return 100 * (cpu_seconds(server.pid) - used) / (time.monotonic() - begun)


def _judge_end(server: Server, finding: Finding) -> None:
    status = server.program.stop()
    if status != 0:
        finding.problems.append(f"the server ended with status {status}")
    lines = server.program.stderr().splitlines()
    said = sum("cannot accept" in line for line in lines)
    if said > finding.seconds + 1:
        finding.problems.append(f"the server complained {said} times in {finding.seconds:.0f} s")


def _judge_drift(plan: Plan, finding: Finding, sanitized: bool) -> None:
    drift = finding.memory_after - finding.memory_before
    if drift > MEMORY_DRIFT and not sanitized:  # which keeps what was freed
        finding.problems.append(f"the server kept {drift >> 10} KiB")
    if finding.idle_cpu_percent > 100 * (IDLE_CPU_SHARE + ONCE_S / plan.idle_s):
        finding.problems.append(f"the idle server took {finding.idle_cpu_percent:.1f} % of a CPU")


def _is_sanitized(bin_directory: Path) -> bool:
    image = (bin_directory / "echo-server").read_bytes()
    return b"__asan_init" in image or b"__tsan_init" in image
