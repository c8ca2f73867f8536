"""The standard streams closed, or a pipe that nobody reads: no program dies of SIGPIPE without a
word, and what one has to say never goes to a client instead."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from conversation import ask
from evidence import Evidence
from expect import PATIENCE, wait_until
from loadgen_fixtures import (CountingEcho, Process, Run, Server, finish, kept_port, lying_server,
                              one_line, start, stopped_at_end)
from server_process import PROGRAMS, SANITIZER_REPORT, Backend, environment

ROW = "stdout closed"


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    with lying_server("none") as server:
        yield server


@contextlib.contextmanager
def nobody_reads() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def expect_word(ended: Run) -> None:
    """It ended by itself, and said why in one line."""
    assert ended.status == 1, ended
    line = ended.stderr.splitlines()[-1]
    assert line.split(":")[0] in ("loadgen", "echo-client", "echo-server"), ended.stderr
    assert "write" in line or "print" in line, ended.stderr


@pytest.mark.parametrize("arguments", [
    ["-n", 20], ["-n", 20, "--json=-"], ["-n", 20, "--json=-", "-q"],
], ids=["summary", "json", "json-only"])
def test_loadgen_without_a_reader(echo: Server, evidence: Evidence,
                                  arguments: Sequence[object]) -> None:
    with nobody_reads() as pipe:
        ended = finish(start("loadgen", echo.address, "--warmup=0", *arguments, stdout=pipe),
                       time.monotonic())
    expect_word(ended)
    assert "-q" not in arguments or one_line(ended.stderr)
    evidence(ROW, programs=1, killed_by_a_signal=0)


def test_loadgen_whose_reader_has_enough() -> None:
    """`loadgen --json=- | head -c1`, with a result that is longer than what a pipe holds."""
    with CountingEcho() as server:
        process = start("loadgen", server.address, "--warmup=0", "-d", "600s", "--json=-",
                        "--interval=10ms")
        with stopped_at_end(process):
            server.wait_for_bytes(64, process)
            assert process.stdout is not None and process.stderr is not None
            time.sleep(0.01)
            process.stdout.close()
            process.send_signal(signal.SIGINT)
            errors = process.stderr.read().decode()
            assert process.wait(30) == 1, errors
    assert "Broken pipe" in errors.splitlines()[-1]


@pytest.mark.parametrize("name", ["loadgen", "echo-client", "echo-server"])
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_without_a_reader(name: str, option: str) -> None:
    with nobody_reads() as pipe:
        ended = finish(start(name, option, stdout=pipe), time.monotonic())
    expect_word(ended)


@pytest.mark.parametrize("arguments", [["hello"], []], ids=["argument", "stdin"])
def test_echo_client_without_a_reader(echo: Server, evidence: Evidence,
                                      arguments: Sequence[object]) -> None:
    with nobody_reads() as pipe:
        ended = finish(start("echo-client", echo.address, *arguments, stdout=pipe,
                             stdin=subprocess.PIPE), time.monotonic(), b"hello\n" * 1000)
    expect_word(ended)
    assert one_line(ended.stderr)
    evidence(ROW, programs=1, killed_by_a_signal=0)


def closed(*streams: int) -> None:
    for stream in streams:
        os.close(stream)


@pytest.mark.parametrize("name,arguments", [
    ("loadgen", ["--warmup=0", "-n", 20]), ("loadgen", ["--warmup=0", "-n", 20, "--json=-", "-q"]),
    ("echo-client", ["hello"]),
], ids=["summary", "json", "echo-client"])
def test_with_stdout_closed(echo: Server, name: str, arguments: Sequence[object]) -> None:
    ended = finish(start(name, echo.address, *arguments, preexec_fn=lambda: closed(1)),
                   time.monotonic())
    expect_word(ended)


class Quiet:
    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.address = ("127.0.0.1", port)

    def await_listening(self) -> None:
        def answers() -> bool:
            if self.process.poll() == 4:
                pytest.skip("the backend is not available here")
            assert self.process.poll() is None, f"it ended with {self.process.returncode}"
            with socket.socket() as probe:
                return probe.connect_ex(self.address) == 0
        wait_until(answers, "the server should listen", seconds=30)

    def serve(self, clients: int) -> None:
        """Each gets what it sent and nothing else, though the server has something to say."""
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(socket.create_connection(self.address, PATIENCE))
                           for _ in range(clients)]
            for connection in connections:
                self.process.send_signal(signal.SIGUSR1)
                ask(connection)
            for connection in connections:
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(100) == b"", "more came back than was sent"

    def place_of(self, stream: int) -> str:
        return os.readlink(f"/proc/{self.process.pid}/fd/{stream}")


@contextlib.contextmanager
def listening_quietly(backend: Backend, before_exec: Callable[[], None]) -> Iterator[Quiet]:
    """An echo-server whose line nobody can read, so its port is chosen for it."""
    with kept_port() as port:
        process = subprocess.Popen(
            [str(PROGRAMS / "echo-server"), f"--backend={backend.name}", f"--port={port}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=before_exec,
            env=environment(backend.environment()))
        with stopped_at_end(process):
            server = Quiet(process, port)
            server.await_listening()
            yield server
            process.terminate()
            assert process.stderr is not None
            errors = process.stderr.read().decode()
            assert process.wait(30) == 0, errors
            assert not SANITIZER_REPORT.search(errors), errors


def test_the_server_serves_without_a_reader(backend: Backend, evidence: Evidence) -> None:
    with nobody_reads() as pipe:
        with listening_quietly(backend, lambda: stream_to(pipe)) as server:
            server.serve(clients=20)
    evidence(ROW, programs=1, killed_by_a_signal=0)


def stream_to(pipe: int) -> None:
    os.dup2(pipe, 1)


@pytest.mark.parametrize("streams", [(1,), (2,), (0, 1, 2)], ids=str)
def test_what_the_server_says_goes_to_no_client(backend: Backend, evidence: Evidence,
                                                streams: tuple[int, ...]) -> None:
    with listening_quietly(backend, lambda: closed(*streams)) as server:
        server.serve(clients=20)
        for stream in streams:
            assert server.place_of(stream) == "/", "its number is another thing's"
    evidence(ROW, programs=1, bytes_in_the_wrong_place=0)
