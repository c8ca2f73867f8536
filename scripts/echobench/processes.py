"""Programs under measurement: started, waited for, and ended by pid whatever happens.

A benchmark that leaves a server behind spoils every later one on the machine. So each program is a
context manager; Ctrl-C, SIGTERM and SIGHUP become an exception that unwinds through it; and the
kernel kills a child whose parent died without unwinding (PR_SET_PDEATHSIG, prctl(2)).
"""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import IO

PR_SET_PDEATHSIG = 1
STOP_GRACE_S = 5.0

_libc = ctypes.CDLL(None, use_errno=True)


class Interrupted(BaseException):
    """A signal asked this process to end; not an Exception, so that no handler swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_status = 128 + signum


def raise_on_signals() -> None:
    """Makes the signals that end a process unwind its stack."""

    def raise_interrupted(signum: int, _frame: FrameType | None) -> None:
        for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted(signum)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, raise_interrupted)


class Program:
    """A running child. Its stderr, and its stdout unless read as it comes, lie in unnamed files:
    a pipe that nobody empties would stop the program in the middle of a measurement."""

    def __init__(
        self, command: Sequence[str], *, stdout_pipe: bool = False, cpu: int | None = None
    ) -> None:
        self.command = list(command)
        self._cpu = cpu
        self._stderr = tempfile.TemporaryFile()
        self._stdout = None if stdout_pipe else tempfile.TemporaryFile()
        self._parent = os.getpid()
        self._swept = False
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if self._stdout is None else self._stdout,
            stderr=self._stderr,
            start_new_session=True,  # the terminal's Ctrl-C reaches the parent only, which ends us
            preexec_fn=self._before_exec,
        )

    def __enter__(self) -> "Program":
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()
        for stream in (self._stderr, self._stdout, self._process.stdout):
            if stream is not None:
                stream.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def stderr(self) -> str:
        """What it said so far."""
        return _read_all(self._stderr)

    def stdout(self) -> str:
        """What it printed so far; only where stdout is not a pipe."""
        assert self._stdout is not None
        return _read_all(self._stdout)

    def first_line(self, timeout_s: float) -> str | None:
        """The first line of a piped stdout; None when it ends or the time is up before."""
        pipe = self._process.stdout
        assert pipe is not None
        deadline = time.monotonic() + timeout_s
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                byte = os.read(pipe.fileno(), 1)
                if not byte:
                    return None
                line += byte
        return line.decode(errors="replace").rstrip("\n")

    def wait(self, timeout_s: float, tick: Callable[[], None] = lambda: None) -> int | None:
        """The exit status, or None when the time is up; `tick` is called a few times a second."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                return self._process.wait(min(left, 0.2))
            except subprocess.TimeoutExpired:
                tick()
        return self.status

    def stop(self) -> int:
        """Asks it to end, then insists; the exit status. Nothing happens when it has ended, except
        that what it started itself and left behind ends too."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        status = self._process.wait()
        if not self._swept:
            self._swept = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return status

    def _before_exec(self) -> None:
        if self._cpu is not None:
            os.sched_setaffinity(0, {self._cpu})
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGKILL)


def _read_all(stream: IO[bytes]) -> str:
    """Reads by position: the child, which may still write, shares the file's offset."""
    descriptor = stream.fileno()
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")
