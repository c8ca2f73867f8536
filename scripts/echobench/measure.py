"""One slice of an experiment: a fresh server, a load generator against it, and all they said.

Nothing is judged and nothing dropped here: a slice whose result does not hold (loadgen ends with 3)
is a slice like any other, and one that gives no result is kept with the reason.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from echobench import listening, strict_json, subjects
from echobench.memory import resident_bytes
from echobench.plan import Subject
from echobench.processes import Program

READY_TIMEOUT_S = 20.0

# The programs' exit statuses, as cli/exit_code.h has them.
RESULT_DOES_NOT_HOLD = 3
UNAVAILABLE = 4


class CannotMeasure(Exception):
    """A program did not start, or did not give a result; the text says which and why."""


class Unavailable(Exception):
    """The subject cannot be had on this machine; the text is the reason."""


@dataclass(frozen=True)
class Slice:
    """What a slice leaves: enough to repeat it, and the result whole."""

    block: int
    workload: str
    subject: str
    started_at: str
    server_command: list[str]
    client_command: list[str]
    server_exit: int | None
    client_exit: int | None
    server_stderr: str
    client_stderr: str
    memory: dict[str, int] | None  # of the server: ready_bytes before the load, peak_bytes under it
    failure: str | None  # why there is no result
    result: dict[str, Any] | None


@dataclass(frozen=True)
class Setup:
    """How a slice is to be measured."""

    block: int
    workload: str
    subject: Subject
    keys: Mapping[str, float]
    cpu: int | None  # the server's
    client_command: Callable[[str], Sequence[str]]  # for the address HOST:PORT
    timeout_s: float


def check_available(subject: Subject, keys: Mapping[str, float], cpu: int | None) -> None:
    """Starts the server and ends it again. Raises Unavailable or CannotMeasure."""
    reason = subjects.missing(subject)
    if reason is not None:
        raise CannotMeasure(reason)
    with _RunningServer(subject, keys, cpu):
        pass


def run_slice(setup: Setup, tick: Callable[[], None] = lambda: None) -> Slice:
    """Measures once; raises nothing but what a signal raises."""
    started_at = utc_now()
    said: dict[str, Any] = {
        "server_command": [], "client_command": [], "server_exit": None, "client_exit": None,
        "server_stderr": "", "client_stderr": "", "memory": None, "failure": None, "result": None,
    }
    try:
        with _RunningServer(setup.subject, setup.keys, setup.cpu) as server:
            said["server_command"] = server.program.command
            _load(setup, server, said, tick)
            server.end(said)
    except (CannotMeasure, Unavailable) as error:
        said["failure"] = str(error)
        said["result"] = None
    return Slice(setup.block, setup.workload, setup.subject.name, started_at, **said)


def utc_now() -> str:
    """The time of day, to the millisecond, as RFC 3339 has it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _RunningServer:
    """A server that listens, at `address`."""

    def __init__(self, subject: Subject, keys: Mapping[str, float], cpu: int | None) -> None:
        self._own = subject.own
        self._port = None if subject.own else listening.free_port()
        command = subjects.start_command(subject, keys, cpu, self._port)
        try:
            self.program = Program(
                command, stdout_pipe=subject.own, cpu=None if subject.own else cpu
            )
        except OSError as error:
            raise CannotMeasure(f"{' '.join(command)}: {error.strerror}") from error

    def __enter__(self) -> "_RunningServer":
        try:
            self.address = self._announced() if self._own else self._found()
            self.ready_bytes = resident_bytes(self.program.pid)
        except BaseException:
            self.program.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.program.__exit__(None, None, None)

    def end(self, said: dict[str, Any]) -> None:
        """Ends it in the middle of nothing; only of echo-server is the exit status known."""
        if self.program.status is not None:
            raise CannotMeasure(
                _failure(self.program, f"ended by itself with status {self.program.status}")
            )
        said["server_exit"] = self.program.stop()
        said["server_stderr"] = self.program.stderr()
        if self._own and said["server_exit"] != 0:
            raise CannotMeasure(
                _failure(self.program, f"ended with status {said['server_exit']}")
            )

    def _announced(self) -> str:
        """From echo-server's line "listening on HOST:PORT (BACKEND)"."""
        line = self.program.first_line(READY_TIMEOUT_S)
        if line is not None and line.startswith("listening on "):
            return line.split()[2]
        status = self.program.stop() if line is not None else self.program.wait(1.0)
        if status == UNAVAILABLE:
            raise Unavailable(self.program.stderr().strip())
        raise CannotMeasure(
            _failure(self.program, f"did not say that it listens (status {status})")
        )

    def _found(self) -> str:
        assert self._port is not None
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not listening.listens(self._port):
            if self.program.status is not None:
                raise CannotMeasure(
                    _failure(self.program, f"ended with status {self.program.status}")
                )
            if time.monotonic() > deadline:
                raise CannotMeasure(_failure(self.program, f"does not listen on {self._port}"))
            time.sleep(0.01)
        return f"127.0.0.1:{self._port}"


def _load(
    setup: Setup, server: _RunningServer, said: dict[str, Any], tick: Callable[[], None]
) -> None:
    """Runs the load generator, and looks at the server's memory meanwhile."""
    peak = server.ready_bytes or 0

    def look() -> None:
        nonlocal peak
        peak = max(peak, resident_bytes(server.program.pid) or 0)
        tick()

    with Program(setup.client_command(server.address)) as client:
        said["client_command"] = client.command
        status = client.wait(setup.timeout_s, look)
        look()
        said["client_exit"], said["client_stderr"] = status, client.stderr()
        if server.ready_bytes is not None:
            said["memory"] = {"ready_bytes": server.ready_bytes, "peak_bytes": peak}
        if status is None:
            raise CannotMeasure(_failure(client, f"has not ended after {setup.timeout_s:.0f} s"))
        if status not in (0, RESULT_DOES_NOT_HOLD):
            raise CannotMeasure(_failure(client, f"ended with status {status}"))
        said["result"] = _parse_result(client)


def _parse_result(client: Program) -> dict[str, Any]:
    try:
        result = strict_json.parse(client.stdout())
    except strict_json.NotStrict as error:
        raise CannotMeasure(_failure(client, f"printed no result: {error}")) from error
    if not isinstance(result, dict):
        raise CannotMeasure(_failure(client, "printed JSON that is no object"))
    return result


def _failure(program: Program, what: str) -> str:
    said = program.stderr().strip()
    return f"{' '.join(program.command)}: {what}" + (f"\n{said}" if said else "")
