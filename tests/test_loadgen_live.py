"""The live line: what loadgen shows on a terminal while it runs, and that none of it stays there.

A pseudo terminal is read into a small screen, so that the tests see what a person would."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from loadgen_fixtures import (WATCHDOG, Process, Server, check_result, loadgen, lying_server,
                              nobody_listens, start, stopped_at_end)
from server_process import environment


class Screen:
    """As much of a terminal (ECMA-48) as a line that is drawn over and over needs."""

    CONTROL = re.compile(r"\x1b\[(\??)([\d;]*)([@-~])")

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells: list[dict[int, str]] = [{} for _ in range(rows)]
        self.row = self.column = 0
        self.cursor_shown = self.wraps = True
        self.coloured = False
        self.drawn: list[str] = []  # each different row that was left by a carriage return
        self.pending = ""

    def line(self, row: int) -> str:
        cells = self.cells[row]
        return "".join(cells.get(column, " ") for column in range(max(cells, default=-1) + 1)
                       ).rstrip()

    def lines(self) -> list[str]:
        return [text for text in map(self.line, range(self.rows)) if text]

    def feed(self, text: str) -> None:
        text, self.pending = self.pending + text, ""
        position = 0
        while position < len(text):
            if text[position] != "\x1b":
                self.put(text[position])
                position += 1
                continue
            found = self.CONTROL.match(text, position)
            if not found:
                assert len(text) - position < 20, f"unknown control: {text[position:][:20]!r}"
                self.pending = text[position:]
                return
            self.control(found[1] + found[3], found[2])
            position = found.end()

    def put(self, character: str) -> None:
        if character == "\r":
            self.leave()
            self.column = 0
        elif character == "\n":
            self.next_row()
        else:
            assert character.isprintable(), repr(character)
            if self.column == self.columns and self.wraps:
                self.column = 0
                self.next_row()
            self.cells[self.row][min(self.column, self.columns - 1)] = character
            self.column += 1

    def next_row(self) -> None:
        self.row += 1
        if self.row == self.rows:
            del self.cells[0]
            self.cells.append({})
            self.row -= 1

    def leave(self) -> None:
        text = self.line(self.row)
        if text and text not in self.drawn[-1:]:
            self.drawn.append(text)

    def control(self, name: str, parameters: str) -> None:
        if name in ("?h", "?l"):
            if parameters == "25":
                self.cursor_shown = name == "?h"
            if parameters == "7":
                self.wraps = name == "?h"
        elif name == "m":
            self.coloured = True
        elif name == "K":
            if self.column == 0 or parameters == "2":
                self.leave()
            self.erase(parameters or "0")
        elif name == "G":
            self.leave()
            self.column = int(parameters or "1") - 1
        elif name == "A":
            self.row = max(0, self.row - int(parameters or "1"))
        elif name == "J":
            assert parameters in ("", "0"), "it clears more than it drew"
            self.erase("0")
            for row in range(self.row + 1, self.rows):
                self.cells[row].clear()
        else:
            raise AssertionError(f"unknown control: {parameters}{name}")

    def erase(self, what: str) -> None:
        cells = self.cells[self.row]
        for column in list(cells):
            if what == "2" or (column >= self.column if what == "0" else column <= self.column):
                del cells[column]


END = "\0"  # no program writes it


class Terminal:
    """A pseudo terminal with a program on it."""

    def __init__(self, columns: int, rows: int = 50) -> None:
        self.screen = Screen(columns, rows)
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.modes = termios.tcgetattr(self.slave)
        self.at_end = False

    def read_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WATCHDOG
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.screen.drawn} {self.screen.lines()}"
            self.read_what_is_there()

    def read_what_is_there(self) -> bool:
        if not select.select([self.master], [], [], 0.02)[0]:
            return False
        text = self.decoder.decode(os.read(self.master, 65536))
        self.at_end = self.at_end or END in text
        self.screen.feed(text.replace(END, ""))
        return True

    def read_to_end(self, process: Process) -> None:
        """What is written to a terminal comes out after a while; a last word tells when."""
        self.read_until(lambda: process.poll() is not None, "it does not end")
        self.at_end = False
        os.write(self.slave, END.encode())
        self.read_until(lambda: self.at_end, "the terminal does not show all")

    def is_clean(self) -> bool:
        return (self.screen.cursor_shown and self.screen.wraps and self.screen.column == 0
                and termios.tcgetattr(self.slave) == self.modes)


@contextlib.contextmanager
def terminal(columns: int = 120) -> Iterator[Terminal]:
    one = Terminal(columns)
    try:
        yield one
    finally:
        os.close(one.master)
        os.close(one.slave)


def terminal_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in environment().items()
            if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    return {**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **more}


def run_on(screen: Terminal, *arguments: object, stdout: int | None = None,
           during: Callable[[Process], None] = lambda process: None,
           **env: str) -> Process:
    """Runs loadgen with stderr (and stdout, unless it goes elsewhere) on the terminal."""
    process = start("loadgen", *arguments, stdin=screen.slave, stderr=screen.slave,
                    stdout=screen.slave if stdout is None else stdout,
                    env=terminal_environment(**env))
    with stopped_at_end(process):
        during(process)
        screen.read_to_end(process)
    return process


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with lying_server("none") as one:
        yield one


# Fast enough for a p99 in each interval.
LOAD = ["--warmup=0", "--interval=100ms", "-c", 2, "-p", 16]
A_WHILE = [*LOAD, "-d", "600ms"]

BAR = r"[█▉▊▋▌▍▎▏▁-▇░▒▓━╸╺─■□#=>.·\-]{5,}"


def live_lines(screen: Screen) -> list[str]:
    return [text for text in screen.drawn if re.search(BAR, text) and "p99" in text]


def elapsed(line: str) -> float:
    found = re.search(r"(\d+(?:\.\d+)?) ?s? ?(?:/|of) ?0\.60* ?s", line)
    assert found, f"elapsed of total is not in {line!r}"
    return float(found[1])


def errors(line: str) -> int:
    found = re.search(r"errors?\W*(\d+)", line) or re.search(r"(\d+) errors?", line)
    assert found, f"errors are not in {line!r}"
    return int(found[1])


def test_the_live_line(server: Server) -> None:
    with terminal() as screen:
        process = run_on(screen, server.address, *A_WHILE, stdout=subprocess.DEVNULL)
        assert process.returncode == 0
        lines = live_lines(screen.screen)
        assert len(lines) >= 3, screen.screen.drawn
        for line in lines:
            assert re.search(r"\d[\d.,]* ?[kM]? ?(messages|msg)?/s", line), line
            assert re.search(r"p50\D*\d", line) and re.search(r"p99\D*\d", line), line
            assert errors(line) == 0
        times = [elapsed(line) for line in lines]
        assert times == sorted(times) and times[0] < times[-1] <= 0.7
        bars = [bar for line in lines for bar in re.findall(BAR, line)]
        assert len({len(bar) for bar in bars}) == 1, "the bar changes its length"
        assert bars[0] != bars[-1], "the bar does not grow"


def test_the_terminal_is_left_clean(server: Server) -> None:
    with terminal() as screen:
        run_on(screen, server.address, *A_WHILE, stdout=subprocess.DEVNULL)
        assert live_lines(screen.screen)
        assert screen.screen.lines() == [] and screen.is_clean()


def test_the_summary_takes_its_place(server: Server) -> None:
    with terminal() as screen:
        run_on(screen, server.address, *A_WHILE)
        left = screen.screen.lines()
        assert live_lines(screen.screen) and screen.is_clean()
        assert any("p50" in line for line in left)
        assert not set(left) & set(live_lines(screen.screen)), left


def test_errors_are_counted_as_they_come() -> None:
    with lying_server("flip", every=10_000) as liar, terminal() as screen:
        process = run_on(screen, liar.address, *A_WHILE, stdout=subprocess.DEVNULL)
        assert process.returncode == 3
        shown = [errors(line) for line in live_lines(screen.screen)]
        assert shown == sorted(shown) and shown[-1] > 0, screen.screen.drawn


@pytest.mark.parametrize("columns", [80, 60, 40, 20])
def test_a_narrow_terminal_is_not_overrun(server: Server, columns: int) -> None:
    with terminal(columns) as screen:
        run_on(screen, server.address, *LOAD, "-d", "500ms", stdout=subprocess.DEVNULL)
        assert screen.screen.drawn
        assert screen.screen.row == 0 and screen.screen.lines() == [], "a wrapped line stays"
        assert screen.is_clean()


def test_no_color(server: Server) -> None:
    with terminal() as screen:
        run_on(screen, server.address, *A_WHILE, NO_COLOR="1")
        assert live_lines(screen.screen) and not screen.screen.coloured


@pytest.mark.parametrize("number,status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(server: Server, number: signal.Signals, status: int) -> None:
    with terminal() as screen:
        def interrupt(process: Process) -> None:
            screen.read_until(lambda: len(live_lines(screen.screen)) >= 2, "no live line")
            process.send_signal(number)

        process = run_on(screen, server.address, "--warmup=0", "-d", "60s", "--interval=50ms",
                         during=interrupt)
        assert process.returncode == status and screen.is_clean()
        left = screen.screen.lines()
        assert any("p50" in line for line in left)
        assert not set(left) & set(live_lines(screen.screen))


def test_quiet(server: Server) -> None:
    with terminal() as screen:
        run_on(screen, server.address, *LOAD, "-d", "300ms", "--quiet")
        assert screen.screen.drawn == [] and screen.screen.lines() == [] and screen.is_clean()


def test_an_error_stands_alone() -> None:
    with nobody_listens() as address, terminal() as screen:
        process = run_on(screen, address)
        assert process.returncode == 1 and screen.is_clean()
        assert len(screen.screen.lines()) == 1 and "refused" in screen.screen.lines()[0]


def test_without_a_terminal_there_is_no_live_line(server: Server) -> None:
    run = loadgen(server.address, *A_WHILE)
    assert run.status == 0
    assert "\r" not in run.stderr and "\x1b" not in run.stderr
    assert not re.search(BAR, run.stderr)


def test_json_on_stdout_beside_a_live_line(server: Server) -> None:
    with terminal() as screen:
        reader, writer = os.pipe()
        run_on(screen, server.address, *A_WHILE, "--json=-", stdout=writer)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            check_result(pipe.read())
        assert live_lines(screen.screen)
