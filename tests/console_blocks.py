"""Runs what a document tells its reader to type, as written, and compares what comes out.

A ```console block has commands behind "$ " and, under each, what it printed. All blocks of a
document are typed into one shell, in order. Output is compared as a reader would: numbers, which
differ from run to run, count as equal. By hand, it writes the outputs anew:

    /usr/bin/python3 -B tests/console_blocks.py docs/LAB.md
"""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

QUIET_S = 0.7  # without output for so long, a command that has ended has said all
LONGEST_S = 240.0


@dataclass
class Command:
    """One command: where it stands, what is typed, what came out (lines)."""

    first_line: int
    last_line: int
    typed: str
    printed: list[str]


def commands_of(document: str) -> list[Command]:
    """In order; line numbers count from 0. `last_line` is the last one that belongs to it."""
    found: list[Command] = []
    inside = False
    here_document = False
    for number, line in enumerate(document.splitlines()):
        if line.startswith("```"):
            inside = line == "```console"
            continue
        if not inside:
            continue
        if here_document:
            found[-1].typed += "\n" + line
            here_document = line != "END"
        elif line.startswith("$ "):
            found.append(Command(number, number, line[2:], []))
            here_document = "<< 'END'" in line
        else:
            found[-1].printed.append(line)
        found[-1].last_line = number
    return found


class Shell:
    """A shell in which the commands are typed one after the other, as at a terminal."""

    def __init__(self, directory: Path, environment: Mapping[str, str],
                 inside: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [*inside, "bash", "--norc"], cwd=directory, env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self._count = 0

    def type(self, command: str) -> list[str]:
        """What it and those still in the background print until there is silence."""
        assert self._process.stdin is not None
        self._count += 1
        mark = f"=== {self._count} has ended ==="
        self._process.stdin.write(f"{command}\necho '{mark}'\n".encode())
        self._process.stdin.flush()
        text = "".join(self._read(mark))
        return text.replace(mark + "\n", "").splitlines()

    def _read(self, mark: str) -> Iterator[str]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + LONGEST_S
        seen = ""
        while True:
            wait = QUIET_S if mark in seen else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._process.stdout], [], [], wait)
            if not ready:
                assert mark in seen, f"it has not ended after {LONGEST_S:g} s; it said {seen!r}"
                return
            piece = os.read(self._process.stdout.fileno(), 65536).decode(errors="replace")
            if not piece:
                return
            seen += piece
            yield piece

    def close(self) -> None:
        """Ends the shell and whatever it still has in the background."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"kill $(jobs -p) 2> /dev/null; wait\nexit\n")
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def alike(line: str) -> str:
    """The line without what may differ from run to run."""
    line = re.sub(r"\d[\d,]*(\.\d+)?( ?(ns|us|ms|s|k|M|G|B|KiB|MiB|GiB))?(?![a-z])", "N", line)
    return re.sub(r"\s+", " ", line).strip()


def rewrite(path: Path, directory: Path, environment: Mapping[str, str]) -> None:
    """Writes into the document what really comes out."""
    lines = path.read_text().splitlines()
    shell = Shell(directory, environment)
    try:
        outputs = [(each, shell.type(each.typed)) for each in commands_of("\n".join(lines))]
    finally:
        shell.close()
    for command, printed in reversed(outputs):
        typed_lines = command.typed.count("\n") + 1
        lines[command.first_line + typed_lines:command.last_line + 1] = printed
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]), Path(__file__).resolve().parents[1], os.environ)
