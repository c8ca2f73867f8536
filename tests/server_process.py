"""echo-server as the tests see it: a process, the line it prints, and what /proc says of it."""

import os
import re
import select
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expect import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(os.environ.get("ECHOBENCH_BIN", ROOT / "build" / "release" / "bin")).resolve()

# For a whole suite: --sandbox=strict, say.
SERVER_OPTIONS = shlex.split(os.environ.get("ECHOBENCH_SERVER_OPTIONS", ""))

SANITIZER_EXIT = 99
SANITIZER_OPTIONS = {
    # What was freed is overwritten: the sanitizer does not see the kernel read it (io_uring).
    "ASAN_OPTIONS": (f"exitcode={SANITIZER_EXIT}:detect_stack_use_after_return=1:"
                     "max_free_fill_size=4096"),
    "UBSAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:halt_on_error=1:second_deadlock_stack=1",
}
SANITIZER_REPORT = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")


def sanitizer() -> str:
    """What the programs were built with: "address", "thread" or nothing. ECHOBENCH_SANITIZER says
    it outright; otherwise the run-time library that the program asks for does."""
    told = os.environ.get("ECHOBENCH_SANITIZER")
    if told is not None:
        return told
    program = PROGRAMS / "echo-server"
    image = program.read_bytes() if program.exists() else b""
    for name, mark in (("address", b"__asan_init"), ("thread", b"__tsan_init")):
        if mark in image:
            return name
    return ""


SANITIZER = sanitizer()


def scaled(count: int) -> int:
    """A count of peers or connections, smaller where every instruction is checked."""
    return count // 5 if SANITIZER else count


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**SANITIZER_OPTIONS, **os.environ, **(extra or {})}


# All that io_uring can do without: what is left is what Linux 5.19 has.
LEAST_URING = ("single_issuer,defer_taskrun,coop_taskrun,submit_all,multishot_accept,"
               "multishot_recv,registered_ring,silent_send")


@dataclass(frozen=True)
class Backend:
    """A backend to test, and for io_uring the features of this kernel that it has to do without."""

    name: str
    without: str = ""

    def environment(self) -> dict[str, str]:
        return {"ECHOBENCH_URING_WITHOUT": self.without} if self.without else {}

    def __str__(self) -> str:
        rung = "all" if self.without == LEAST_URING else self.without
        return f"{self.name}-without-{rung}" if rung else self.name


class NotListening(Exception):
    """The program ended before it could accept."""

    def __init__(self, exit_code: int, stdout: str, stderr: str) -> None:
        super().__init__(f"exit code {exit_code}, stdout {stdout!r}, stderr {stderr!r}")
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr


class EchoServer:
    """One running echo-server. Every connection made through connect() is closed with it."""

    def __init__(self, arguments: Sequence[str], stderr_path: Path,
                 extra_environment: Mapping[str, str] | None = None,
                 before_exec: Callable[[], None] | None = None,
                 through: Sequence[str] = (), pass_fds: Sequence[int] = ()) -> None:
        """`through`: a command that becomes the server, as env(1) does, with its arguments."""
        self.arguments = list(arguments)
        self._stderr_path = stderr_path
        self._connections: list[socket.socket] = []
        self._told_to_end = False
        with stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*through, str(PROGRAMS / "echo-server"), *SERVER_OPTIONS, *arguments],
                stdin=subprocess.DEVNULL, pass_fds=pass_fds,
                stdout=subprocess.PIPE, stderr=stderr, env=environment(extra_environment),
                preexec_fn=before_exec)
        self.pid = self.process.pid
        self.line = ""
        self.host = ""
        self.port = 0
        self.backend = ""

    def await_listening(self, seconds: float = 20) -> None:
        """Reads the line that says where it listens. Throws NotListening where it ended instead."""
        line = self._first_line(seconds)
        if not line.endswith("\n"):
            self.process.kill()
            raise NotListening(self.process.wait(), line, self.stderr())
        found = re.fullmatch(r"listening on (?:\[([0-9a-f:.]+)]|([0-9.]+)):(\d+) \((\w+)\)\n", line)
        assert found, f"expected 'listening on HOST:PORT (BACKEND)' on stdout, got {line!r}"
        self.line = line.rstrip("\n")
        self.host = found[1] or found[2]
        self.port = int(found[3])
        self.backend = found[4]

    def _first_line(self, seconds: float) -> str:
        assert self.process.stdout is not None
        line = b""
        end = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            left = max(0, end - time.monotonic())
            ready, _, _ = select.select([self.process.stdout], [], [], left)
            if not ready:
                break
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                self.process.wait(timeout=seconds)
                break
            line += byte
        return line.decode()

    def address(self) -> tuple[str, int]:
        return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)

    def connect(self, slow: bool = False, receive_buffer: int = 16 << 10) -> socket.socket:
        """A connection to it. For a `slow` peer the kernel holds little on both sides (the room in
        the server's send buffer grows with the segment size), so that what such a peer does not
        read is soon the server's burden."""
        family = socket.AF_INET6 if ":" in self.address()[0] else socket.AF_INET
        connection = socket.socket(family)
        self._connections.append(connection)
        if slow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 4000)
        connection.settimeout(PATIENCE)
        connection.connect(self.address())
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def connect_many(self, count: int, slow: bool = False) -> list[socket.socket]:
        return [self.connect(slow) for _ in range(count)]

    def stdout(self) -> str:
        """What followed the first line; call it when the process has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()

    def stderr(self) -> str:
        return self._stderr_path.read_text(errors="replace")

    def fds(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def await_fds(self, count: int) -> None:
        wait_until(lambda: self.fds() == count,
                   lambda: f"expected the server to hold {count} descriptors, "
                           f"it holds {self.fds()}")

    def counters(self) -> dict[str, int]:
        """What SIGUSR1 prints."""
        before = len(self.stderr())
        self.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.stderr()[before:].endswith("\n"),
                   "expected a line of counters on stderr after SIGUSR1")
        found = re.findall(r"(\w+)=(\d+)", self.stderr()[before:])
        return {name: int(value) for name, value in found}

    def _status(self, field: str) -> str:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{field}:\s*(.*)$", status, re.MULTILINE)
        assert found, f"no {field} in {status!r}"
        return found[1]

    def resident_bytes(self) -> int:
        return int(self._status("VmRSS").split()[0]) * 1024

    def tasks(self) -> set[int]:
        """Its threads, by number."""
        return {int(name) for name in os.listdir(f"/proc/{self.pid}/task")}

    def virtual_bytes(self) -> int:
        return int(self._status("VmSize").split()[0]) * 1024

    def allowed_cpus(self) -> str:
        return self._status("Cpus_allowed_list")

    def cpu_seconds(self) -> float:
        """User and system time of all its threads, in steps of 10 ms."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_stopped(self) -> bool:
        return self._status("State").startswith("T")

    def pause(self) -> None:
        """Stops it as Ctrl-Z does, so that what is sent now lies ready when it goes on."""
        self.send_signal(signal.SIGSTOP)
        wait_until(self.is_stopped, "expected the server to stop on SIGSTOP")

    def go_on(self) -> None:
        self.send_signal(signal.SIGCONT)

    def send_signal(self, number: int) -> None:
        self._told_to_end |= number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def await_exit(self, seconds: float) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"expected the server to end within {seconds:g} s, it runs on; "
                                 f"stderr: {self.stderr()!r}") from None

    def close(self) -> None:
        """Ends it if it runs, and judges what it left: its exit code and its stderr."""
        for connection in self._connections:
            connection.close()
        in_order = not self.has_ended() and not self._told_to_end
        try:
            if in_order:
                self.go_on()
                self.send_signal(signal.SIGTERM)
            code = self.await_exit(30)
        finally:
            if not self.has_ended():
                self.process.kill()
                self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
        if in_order:
            assert code == 0, f"expected exit code 0 after SIGTERM, got {code}: {self.stderr()!r}"
        self.expect_healthy()

    def expect_healthy(self) -> None:
        """No sanitizer has reported, and no signal but one that a test sent has ended it."""
        code = self.process.returncode
        assert code != SANITIZER_EXIT and not SANITIZER_REPORT.search(self.stderr()), (
            f"the sanitizer reports:\n{self.stderr()}")
        crashes = [-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE,
                   -signal.SIGILL, -signal.SIGPIPE]
        assert code not in crashes, f"the server died of signal {-code}: {self.stderr()!r}"


StartServer = Callable[..., EchoServer]
RunProgram = Callable[..., "subprocess.CompletedProcess[str]"]
