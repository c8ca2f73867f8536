"""Ctrl-C at any time, from the first moment to the last: there is a result that says so, or there
is none; it ends at once, and the terminal is left as it was."""

import contextlib
import fcntl
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Iterator

import pytest

from evidence import Evidence
from expect import wait_until
from loadgen_fixtures import (ENGINES, Process, Run, Server, finish, lying_server, sockets_of,
                              start, stopped_at_end)
from scale import tries
from server_process import SANITIZER
from test_loadgen_live import Terminal, terminal, terminal_environment

ROW = "Ctrl-C at any time"
TRIES = tries(10, 200)
AT_ONCE = 60 if SANITIZER else 15  # seconds: an order of magnitude more than it costs
LOAD = ["-c", 50, "--warmup=100ms", "-d", "200ms", "--json=-"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with lying_server("none") as one:
        yield one


def moments(seed: int) -> Iterator[float]:
    """Seconds after the start: often within the first ones, where signals are not yet caught and
    connections are being made, sometimes when it has just ended."""
    dice = random.Random(seed)
    for number in range(TRIES):
        yield dice.uniform(0, (0.02, 0.1, 0.45)[number % 3])


def judge(ended: Run) -> str:
    """What it was that the signal ended."""
    if ended.status == -signal.SIGINT:
        assert ended.stdout == "", "half a result"
        return "not begun"
    result = ended.result
    if not result["aborted"]:
        assert ended.status in (0, 3) and result["totals"]["elapsed_s"] >= 0.2, ended
        return "over"
    assert ended.status == 130, ended
    assert sum(one["messages"] for one in result["intervals"]) == (
        result["totals"]["answered_in_window"])
    return "aborted"


@pytest.mark.parametrize("engine", ENGINES)
def test_at_any_time(server: Server, evidence: Evidence, tmp_path: pathlib.Path,
                     engine: str) -> None:
    found = {"not begun": 0, "aborted": 0, "over": 0}
    log = tmp_path / "log"
    for moment in moments(seed=1):
        process = start("loadgen", server.address, f"--backend={engine}", f"--hdr={log}", *LOAD)
        with stopped_at_end(process):
            time.sleep(moment)
            process.send_signal(signal.SIGINT)
            ended = finish(process, time.monotonic())
        assert ended.seconds < AT_ONCE, f"it ended {ended.seconds} s after the signal"
        what = judge(ended)
        found[what] += 1
        assert list(tmp_path.iterdir()) == ([] if what == "not begun" else [log])
        log.unlink(missing_ok=True)
    evidence(ROW, tries=TRIES, aborted=found["aborted"], over_already=found["over"],
             not_begun=found["not begun"], broken_results=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_from_the_moment_on_at_which_signals_are_caught(server: Server, engine: str) -> None:
    """There is no gap in which one would end it without a result."""
    for _ in range(tries(3, 30)):
        process = start("loadgen", server.address, f"--backend={engine}", *LOAD)
        with stopped_at_end(process):
            catches = False
            while not catches and process.poll() is None:
                catches = is_blocked(process, signal.SIGINT)
            process.send_signal(signal.SIGINT)
            ended = finish(process, time.monotonic())
        assert judge(ended) in ("aborted", "over"), ended


@contextlib.contextmanager
def nobody_answers() -> Iterator[str]:
    """The backlog is full, and what comes then is not heard."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield "127.0.0.1:%d" % listener.getsockname()[1]


@pytest.mark.parametrize("engine", ENGINES)
def test_while_it_is_connecting(engine: str) -> None:
    with nobody_answers() as address:
        process = start("loadgen", address, f"--backend={engine}", "--json=-", "--timeout=1000s")
        with stopped_at_end(process):
            wait_until(lambda: sockets_of(process) > 0, "it should connect")
            process.send_signal(signal.SIGINT)
            ended = finish(process, time.monotonic())
    assert ended.seconds < AT_ONCE and judge(ended) == "aborted", ended
    assert ended.result["totals"]["messages"] == 0


def is_blocked(process: Process, number: signal.Signals) -> bool:
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(blocked.split()[1], 16) >> (number - 1) & 1)


def test_while_the_result_is_being_written(server: Server) -> None:
    """Nobody reads: the first Ctrl-C may have been meant for the run, the second ends it."""
    reader, writer = os.pipe()
    fill(writer)
    process = start("loadgen", server.address, "-n", 100, "--warmup=0", "--json=-", stdout=writer)
    os.close(writer)
    with stopped_at_end(process), os.fdopen(reader, "rb") as pipe:
        await_summary(process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        assert process.poll() is None
        read = pipe.read().lstrip(b"x")
        assert process.wait(AT_ONCE) == 0
        assert json.loads(read)["aborted"] is False


def test_what_nobody_reads_can_be_ended(server: Server) -> None:
    reader, writer = os.pipe()
    fill(writer)
    process = start("loadgen", server.address, "-n", 100, "--warmup=0", "--json=-", stdout=writer)
    os.close(writer)
    with stopped_at_end(process):
        await_summary(process)
        for _ in range(100):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
            if process.poll() is not None:
                break
        assert process.wait(AT_ONCE) == -signal.SIGINT
    os.close(reader)


def fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    try:
        while True:
            os.write(pipe, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(pipe, True)


def await_summary(process: Process) -> None:
    """It is printed before the result is written."""
    assert process.stderr is not None
    while b"verdict" not in (line := process.stderr.readline()):
        assert line, "it ended"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_terminal_is_left_clean(server: Server, evidence: Evidence, engine: str) -> None:
    for moment in moments(seed=2):
        with terminal() as screen:
            show_what_is_written_and_nothing_typed(screen)
            typed_at(screen, moment, server.address, f"--backend={engine}", *LOAD)
            assert screen.is_clean(), screen.screen.lines()
            assert not any(re.search(r"errors \d+$", line) for line in screen.screen.lines())
    evidence(ROW, tries=TRIES, on_a_terminal=TRIES, dirty_terminals=0)


def show_what_is_written_and_nothing_typed(screen: Terminal) -> None:
    """Or the terminal itself leaves a ^C, and throws away at Ctrl-C what nobody has read yet."""
    screen.modes = termios.tcgetattr(screen.slave)
    screen.modes[3] = screen.modes[3] & ~termios.ECHO | termios.NOFLSH
    termios.tcsetattr(screen.slave, termios.TCSANOW, screen.modes)


def typed_at(screen: Terminal, moment: float, *arguments: object) -> None:
    """Ctrl-C as a person types it: the terminal makes a signal of it."""
    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(screen.slave, termios.TIOCSCTTY, 0)

    process = start("loadgen", *arguments, stdin=screen.slave, stderr=screen.slave,
                    stdout=subprocess.DEVNULL, env=terminal_environment(),
                    preexec_fn=take_terminal)
    with stopped_at_end(process):
        time.sleep(moment)
        os.write(screen.master, b"\x03")
        screen.read_to_end(process)
    assert process.returncode in (130, -signal.SIGINT, 0, 3)
