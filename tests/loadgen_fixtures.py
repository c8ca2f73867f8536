"""What the tests of loadgen and echo-client share: servers to talk to, and one way to run a program
so that a hang is a failure and every result is held against results/schema.json."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
import select
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema  # type: ignore[import]
import pytest

from expect import wait_until
from server_process import PROGRAMS, SANITIZER, SANITIZER_REPORT, environment

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = HERE.parent / "results" / "schema.json"
LYING_SERVER = HERE / "lying_server.py"

ENGINES = ["epoll", "io_uring"]

# A hang is longer than this, in seconds; nothing that works is, on any machine.
WATCHDOG = 120 if SANITIZER else 30

Process = subprocess.Popen[bytes]


def program(name: str) -> str:
    """The path of a built program; a test without one is a failure, not a skip."""
    path = PROGRAMS / name
    if not path.exists():
        pytest.fail(f"{path} is not built (ECHOBENCH_BIN names another directory)")
    return str(path)


@functools.lru_cache(maxsize=None)
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_result(text: str) -> dict[str, Any]:
    """Parses a result and holds it against the schema; NaN and infinity are not JSON."""
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    result: dict[str, Any] = json.loads(text, parse_constant=refuse)
    problems = [f"{problem.json_path}: {problem.message}"
                for problem in validator().iter_errors(result)]
    assert not problems, "\n".join(problems)
    return result


@dataclasses.dataclass
class Run:
    """One run of a program, ended."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    @functools.cached_property
    def result(self) -> dict[str, Any]:
        return check_result(self.stdout)


def finish(process: Process, began: float, stdin: bytes | None = None) -> Run:
    try:
        out, err = process.communicate(stdin, timeout=WATCHDOG)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"{process.args!r} hung; stdout: {out!r}; stderr: {err!r}")
    seconds = time.monotonic() - began
    run = Run(process.returncode, (out or b"").decode(errors="surrogateescape"),
              (err or b"").decode(errors="surrogateescape"), seconds)
    assert not SANITIZER_REPORT.search(run.stderr), run.stderr
    # 4: this machine has not what was asked for. That it is said rightly, other tests see to.
    if run.status == 4:
        pytest.skip(run.stderr.strip() or "the backend is not available here")
    return run


def start(name: str, *arguments: object, **popen: Any) -> Process:
    popen.setdefault("env", environment())
    popen.setdefault("stdin", subprocess.DEVNULL)
    popen.setdefault("stdout", subprocess.PIPE)
    popen.setdefault("stderr", subprocess.PIPE)
    return subprocess.Popen([program(name), *map(str, arguments)], **popen)


def run(name: str, *arguments: object, input: bytes | None = None, **popen: Any) -> Run:
    """Runs a program to its end; `input` is fed to its stdin."""
    if input is not None:
        popen["stdin"] = subprocess.PIPE
    began = time.monotonic()
    return finish(start(name, *arguments, **popen), began, input)


def loadgen(target: str, *arguments: object, **popen: Any) -> Run:
    """Runs loadgen with its result on stdout; no warm-up unless the arguments ask for one."""
    return run("loadgen", target, "--json=-", *with_warmup(arguments), **popen)


def with_warmup(arguments: Sequence[object]) -> list[object]:
    asked = any(re.match(r"(-w|--warmup)", str(argument)) for argument in arguments)
    return [*arguments] if asked else ["--warmup=0", *arguments]


def one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and len(text) > 10


@contextlib.contextmanager
def stopped_at_end(process: Process) -> Iterator[Process]:
    """Ends what a test started, however the test ends."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


def descriptors_of(process: Process) -> list[str]:
    """What each stands for: a socket is "socket:[N]", and no later one has the same N."""
    found = []
    for entry in os.scandir(f"/proc/{process.pid}/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            found.append(os.readlink(entry.path))
    return found


def sockets_of(process: Process) -> int:
    """How many it has open."""
    return sum(name.startswith("socket:") for name in descriptors_of(process))


MIB = 1 << 20


class Footprint:
    """What a run holds when its connections stand, to compare with when they were made anew. They
    should have been lost once before: what is measured then has its place in the memory."""

    def __init__(self, process: Process, most_sockets: int) -> None:
        self.process, self.most_sockets = process, most_sockets
        self.others = self.other_descriptors()
        self.memory = self.resident_bytes()

    def other_descriptors(self) -> int:
        return sum(not name.startswith("socket:") for name in descriptors_of(self.process))

    def resident_bytes(self) -> int:
        pages = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def expect_again(self) -> None:
        wait_until(lambda: sockets_of(self.process) <= self.most_sockets,
                   lambda: f"expected loadgen to hold {self.most_sockets} sockets at most, "
                           f"it holds {sockets_of(self.process)}")
        wait_until(lambda: self.other_descriptors() <= self.others,
                   lambda: f"expected loadgen to hold {self.others} descriptors beside its "
                           f"sockets, it holds {descriptors_of(self.process)}")
        if SANITIZER:
            return
        grown = self.resident_bytes() - self.memory
        assert grown <= MIB, f"expected loadgen's memory to be what it was, it grew by {grown} B"


class Server:
    """A server in a process of its own."""

    def __init__(self, process: Process, address: str) -> None:
        self.process = process
        self.address = address
        self.injected = 0
        self.bytes_received = 0
        self.connections = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def stop(self) -> None:
        """Ends the server and takes down what it counted."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=WATCHDOG)
        counted = re.search(rb"injected (\d+), received (\d+) bytes on (\d+) connections", out)
        assert counted, f"the lying server did not end well: {out!r}"
        self.injected, self.bytes_received, self.connections = map(int, counted.groups())


@contextlib.contextmanager
def lying_server(fault: str = "none", **options: object) -> Iterator[Server]:
    """Runs lying_server.py; each keyword is one of its options. After the block it has stopped."""
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        [sys.executable, "-B", str(LYING_SERVER), f"--fault={fault}", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    with stopped_at_end(process):
        server = Server(process, listening_address(process))
        yield server
        if process.poll() is None:
            server.stop()


def listening_address(process: Process) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], WATCHDOG)
    line = os.read(process.stdout.fileno(), 4096).decode() if ready else ""
    found = re.match(r"listening on (\S+:\d+)", line)
    assert found, f"{process.args!r} does not listen: {line!r}"
    return found[1]


class CountingEcho:
    """An echo server inside the test, which can wait until so many bytes reached it; a silent one
    does not answer."""

    def __init__(self, silent: bool = False) -> None:
        self.progress = threading.Condition()
        self.data = bytearray()
        echo = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    while data := self.request.recv(65536):
                        echo.count(data)
                        if not silent:
                            self.request.sendall(data)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 100

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.listener.server_address[1]

    def count(self, data: bytes) -> None:
        with self.progress:
            self.data += data
            self.progress.notify_all()

    def wait_for_bytes(self, count: int, sender: Process) -> None:
        """Returns when so many bytes came; a sender that ended before ends the test."""
        began = time.monotonic()
        with self.progress:
            while len(self.data) < count:
                self.progress.wait(0.1)
                if sender.poll() is not None:
                    pytest.fail(f"it ended too early: {finish(sender, began)}")
                assert time.monotonic() < began + WATCHDOG, f"{len(self.data)} of {count} bytes"

    def __enter__(self) -> CountingEcho:
        self.thread = threading.Thread(target=self.listener.serve_forever, args=(0.02,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown()
        self.thread.join()
        self.listener.server_close()


# The server of the course's first page: one client at a time, and no second one.
LECTURE_SERVER = """
from socket import socket
listener = socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
while data := connection.recv(1024):
    connection.sendall(data)
connection.close()
"""


@contextlib.contextmanager
def lecture_server() -> Iterator[Server]:
    process = subprocess.Popen([sys.executable, "-c", LECTURE_SERVER],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    with stopped_at_end(process):
        yield Server(process, listening_address(process))


@contextlib.contextmanager
def nobody_listens() -> Iterator[str]:
    """An address that refuses: its port is bound, so that nobody else can take it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield "127.0.0.1:%d" % bound.getsockname()[1]


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """A port that is the server's alone though it comes and goes: nobody is given a port that is
    bound, and a bound one that does not listen is in no listener's way (SO_REUSEADDR)."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
