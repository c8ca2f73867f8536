"""The fixtures of the end-to-end tests: every test that asks for `backend`, `server` or
`start_server` runs once for each backend, and nothing that was started outlives its test."""

import os
import resource
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from evidence import Evidence, record
from scale import FULL
from server_process import (LEAST_URING, PROGRAMS, SANITIZER, Backend, EchoServer, NotListening,
                            RunProgram, StartServer, environment)

BACKENDS = ["epoll", "io_uring", "poll", "blocking"]

# One at a time, and the least that a kernel with io_uring may have.
URING_FEATURES = ["defer_taskrun", "multishot_accept", "multishot_recv", "silent_send"]
URING_RUNGS = [*URING_FEATURES, LEAST_URING]

SECONDS_PER_TEST = 180 if SANITIZER else 60
SECONDS_PER_LONG_TEST = 1200
SESSION_MARK = "ECHOBENCH_TEST_SESSION"
UNAVAILABLE = 4


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "every_rung: also on each rung of the io_uring ladder")
    config.addinivalue_line("markers", "only_io_uring: says nothing about the other backends")
    config.addinivalue_line("markers", "has_a_loop: says nothing about threads that block")
    config.addinivalue_line("markers", "long: only where scripts/test --full asks for it")
    config.addinivalue_line("markers", "relays: needs a backend that can be a relay")


def backends_for(test: pytest.Item) -> list[Backend]:
    names = ["io_uring"] if test.get_closest_marker("only_io_uring") else BACKENDS
    if test.get_closest_marker("has_a_loop") or test.get_closest_marker("relays"):
        names = [name for name in names if name != "blocking"]
    rungs = URING_RUNGS if test.get_closest_marker("every_rung") else []
    return [Backend(name) for name in names] + [Backend("io_uring", rung) for rung in rungs]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not FULL:
            item.add_marker(pytest.mark.skip(reason="takes long: scripts/test --full"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", backends_for(metafunc.definition), ids=str)


def processes_of(mark: str) -> list[str]:
    """The processes that inherited this session's mark, by pid and command line."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (directory / "environ").read_bytes():
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(f"{directory.name} {command}")
        except OSError:  # it ended meanwhile, or it is another user's
            continue
    return found


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Marks whatever the session starts, and at its end looks for what still runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    mark = uuid.uuid4().hex
    os.environ[SESSION_MARK] = mark
    yield
    del os.environ[SESSION_MARK]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    left = processes_of(f"{SESSION_MARK}={mark}")
    assert not left, f"expected every process of the tests to have ended, these run on: {left}"


@pytest.fixture(autouse=True)
def limited_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that hangs fails, and those after it still run."""
    seconds = SECONDS_PER_LONG_TEST if FULL else SECONDS_PER_TEST

    def expire(_number: int, _frame: object) -> None:
        raise AssertionError(f"the test hangs: it was not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[StartServer]:
    """Starts echo-server with the given arguments, and when the test is over ends it and judges
    what it left. With `await_line=False` it doesn't wait until the server can accept."""
    servers: list[EchoServer] = []

    def start(*arguments: str, extra_environment: dict[str, str] | None = None,
              before_exec: Callable[[], None] | None = None,
              await_line: bool = True, through: Sequence[str] = (),
              pass_fds: Sequence[int] = ()) -> EchoServer:
        server = EchoServer(arguments, tmp_path / f"stderr-{len(servers)}", extra_environment,
                            before_exec, through, pass_fds)
        servers.append(server)
        if await_line:
            server.await_listening()
        return server

    yield start
    failures = []
    for server in servers:
        try:
            server.close()
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)


@pytest.fixture
def start_server(backend: Backend, launch: StartServer) -> StartServer:
    """Starts the backend under test on a port of its own: called with further options, and with
    what `launch` takes. Skips where this machine refuses the backend."""
    def start(*options: str, extra_environment: dict[str, str] | None = None,
              before_exec: Callable[[], None] | None = None) -> EchoServer:
        try:
            return launch(f"--backend={backend.name}", "--port=0", *options,
                          extra_environment={**backend.environment(), **(extra_environment or {})},
                          before_exec=before_exec)
        except NotListening as end:
            if end.exit_code == UNAVAILABLE:
                pytest.skip(end.stderr.strip())
            raise
    return start


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """For the end of a fault test: evidence("slow reader", clients=1000, bytes_lost=0)."""
    def keep(fault: str, **figures: int | float) -> None:
        backend = request.node.callspec.params.get("backend", "") \
            if hasattr(request.node, "callspec") else ""
        record(fault, request.node.nodeid, str(backend), figures)
    return keep


@pytest.fixture
def server(start_server: StartServer) -> EchoServer:
    return start_server()


@pytest.fixture
def run_program() -> RunProgram:
    """Runs one of the programs to its end and gives what it printed."""
    def run(name: str, *arguments: str, stdin: str = "", seconds: float = 30,
            before_exec: Callable[[], None] | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([str(PROGRAMS / name), *arguments], input=stdin, text=True,
                              capture_output=True, timeout=seconds, env=environment(),
                              preexec_fn=before_exec)
    return run
