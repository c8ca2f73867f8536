"""echo-server and loadgen as they are counted: each under a tool (strace, valgrind) or none."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from echobench.processes import Program

FEW, MANY = 2_000, 12_000  # messages
READY_S, RUN_S = 60.0, 300.0

# Who asleep waits makes the fewest calls and runs no instruction while it waits.
QUIET = "--busy-poll=off"


class CannotCount(Exception):
    """A tool is missing or a program failed; the text says which."""


@contextlib.contextmanager
def serving(
    bin_directory: Path, backend: str, under: Sequence[str] = (), quiet: bool = True
) -> Iterator[tuple[Program, str]]:
    """The server, and where it listens."""
    command = [*under, str(bin_directory / "echo-server"), f"--backend={backend}", "--port=0",
               *([QUIET] if quiet else [])]
    with Program(command, stdout_pipe=True) as server:
        line = server.first_line(READY_S)
        if line is None or not line.startswith("listening on "):
            server.stop()
            raise CannotCount(f"{' '.join(command)}: {server.stderr().strip()}")
        yield server, line.split()[2]


def load(
    address: str, bin_directory: Path, options: Sequence[str], under: Sequence[str] = ()
) -> str:
    """Runs loadgen to its end; what it said on stderr."""
    command = [*under, str(bin_directory / "loadgen"), address, "--quiet", "--warmup=0s",
               "--timeout=60s", *options]
    with Program(command) as client:
        status = client.wait(RUN_S)
        if status != 0:
            raise CannotCount(f"{' '.join(command)}: status {status}\n{client.stderr()}")
        return client.stderr()


def so_many(messages: int) -> list[str]:
    """loadgen's options, with 50 connections that have one message under way each."""
    return ["--connections=50", f"--messages={messages}"]


def tool(name: str) -> str:
    """Where it is."""
    path = shutil.which(name)
    if path is None:
        raise CannotCount(f"{name} is not there")
    return path
