"""What a message and a connection cost, counted instead of timed: the same on a busy machine.

System calls by strace(1), user-space instructions by callgrind (instructions.py), memory and idle
CPU by the kernel's books. Each but the waits and the idle CPU is the difference between a larger
and a smaller run, so that what a program does once is in none.
"""

import contextlib
import os
import re
import resource
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from echobench.counted import (FEW, MANY, QUIET, READY_S, RUN_S, CannotCount, load, serving,
                               so_many, tool)
from echobench.instructions import client_instructions, server_instructions
from echobench.memory import children_of, resident_bytes
from echobench.processes import Program

FEW_IDLE, MANY_IDLE = 1_000, 19_000  # connections
IDLE_S = 5

_WAITS = ("epoll_wait", "epoll_pwait2", "io_uring_enter")
_CALLS = ("recvfrom", "recvmsg", "sendto", "sendmsg", "write", "epoll_ctl", "ioctl", "getsockopt",
          "setsockopt", "clock_gettime")

Count = Callable[[Path, str], float]  # programs, backend
Trace = Callable[[Path, str, int], Counter[str]]  # with so many messages


def calls_a_message(trace: Trace) -> Count:
    """Those that a loop could make for each message, with 50 connections that have one message
    under way each. (What loadgen's main thread does meanwhile grows with the time.)"""

    def count(bin_directory: Path, backend: str) -> float:
        few, many = (trace(bin_directory, backend, messages) for messages in (FEW, MANY))
        return sum(many[name] - few[name] for name in _CALLS) / (MANY - FEW)

    return count


def waits_a_message(trace: Trace) -> Count:
    """Calls that fetch a batch: the fewer, the more there is in each."""

    def count(bin_directory: Path, backend: str) -> float:
        many = trace(bin_directory, backend, MANY)
        return sum(many[name] for name in _WAITS) / MANY

    return count


def server_memory(bin_directory: Path, backend: str) -> float:
    """Bytes of the server's own memory for each further connection that is idle, and has sent a
    message before."""
    few = idle_connections(FEW_IDLE)
    many = idle_connections(MANY_IDLE)
    with serving(bin_directory, backend) as (server, address), contextlib.ExitStack() as stack:
        held = []
        for count in (few, many):
            _converse(stack, address, count - (few if count == many else 0))
            held.append(resident_bytes(server.pid) or 0)
    return (held[1] - held[0]) / (many - few)


def idle_cpu(bin_directory: Path, backend: str) -> float:
    """Percent of a CPU that a server takes with many connections of which none says anything, as
    it runs where nothing else is asked for."""
    with contextlib.ExitStack() as stack:
        server, address = stack.enter_context(serving(bin_directory, backend, quiet=False))
        _converse(stack, address, idle_connections(MANY_IDLE))
        time.sleep(1)  # a spin ends 50 us after the last event
        before = cpu_seconds(server.pid)
        time.sleep(IDLE_S)
        used = cpu_seconds(server.pid) - before
    return 100 * used / IDLE_S


def client_memory(bin_directory: Path, backend: str) -> float:
    """Bytes of loadgen's own memory for each further connection."""
    few, many = idle_connections(FEW_IDLE), idle_connections(MANY_IDLE)
    held = [_client_peak(bin_directory, backend, count) for count in (few, many)]
    return (held[1] - held[0]) / (many - few)


def idle_connections(wanted: int) -> int:
    """As many of them as the limit of open files leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, hard - 500)


# ---- system calls


def _server_trace(bin_directory: Path, backend: str, messages: int) -> Counter[str]:
    with tempfile.NamedTemporaryFile() as summary:
        with serving(bin_directory, backend, _strace(summary.name)) as (server, address):
            load(address, bin_directory, so_many(messages))
            _end_traced(server)
        return _calls(summary.name)


def _client_trace(bin_directory: Path, backend: str, messages: int) -> Counter[str]:
    with tempfile.NamedTemporaryFile() as summary, serving(bin_directory, "epoll") as (_, address):
        options = [*so_many(messages), f"--backend={backend}", QUIET]
        load(address, bin_directory, options, _strace(summary.name))
        return _calls(summary.name)


def _end_traced(strace: Program) -> None:
    """Ends the program under strace, which then writes its summary and ends too."""
    for child in children_of(strace.pid):
        os.kill(child, signal.SIGTERM)
    if strace.wait(READY_S) != 0:
        raise CannotCount(f"strace: {strace.stderr()}")


def _strace(summary: str) -> list[str]:
    return [tool("strace"), "-f", "-c", "-U", "calls,name", "-o", summary]


def _calls(summary: str) -> Counter[str]:
    found = re.findall(r"^\s*(\d+)\s+(\w+)\s*$", Path(summary).read_text(), re.MULTILINE)
    return Counter({name: int(calls) for calls, name in found if name != "total"})


# ---- memory


def _converse(stack: contextlib.ExitStack, address: str, count: int) -> None:
    """So many further connections, each with a message that came back."""
    host, _, port = address.rpartition(":")
    for _ in range(count):
        connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
        connection.sendall(b"Hello, world!")
        if not connection.recv(100):
            raise CannotCount("the server closed a connection")


def _client_peak(bin_directory: Path, backend: str, connections: int) -> int:
    """Under a message a second on each connection."""
    peak = 0
    with serving(bin_directory, "epoll") as (_, address):
        command = [str(bin_directory / "loadgen"), address, "--quiet", "--warmup=0s",
                   f"--connections={connections}", f"--rate={connections}", "--duration=3s",
                   "--timeout=30s", f"--backend={backend}"]
        with Program(command) as client:

            def look() -> None:
                nonlocal peak
                peak = max(peak, resident_bytes(client.pid) or 0)

            status = client.wait(RUN_S, look)
            if status not in (0, 3):
                raise CannotCount(f"{' '.join(command)}: status {status}\n{client.stderr()}")
    return peak


def cpu_seconds(pid: int) -> float:
    """Of all its threads so far, to the nanosecond (/proc/PID/task/TID/schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


# ---- all of them


@dataclass(frozen=True)
class Cost:
    """Something that is counted: of which program on which engine, and what it may be."""

    what: str
    program: str
    backend: str
    limit: float
    unit: str
    count: Count
    worst: float | None = None  # where it depends on the batches: what it is with one message each

    @property
    def name(self) -> str:
        """Unique among them."""
        return f"{self.what}, {self.program} on {self.backend}"


_INSTRUCTIONS = "user-space instructions a message"
_SYSCALLS = "system calls a message, but waits"
_BATCHES = "waits a message"
_MEMORY = "user memory a connection"
_IDLE = "CPU while 19,000 connections are idle"

# The limits are those of the project's aims: two calls a message and one a batch on epoll, one a
# batch on io_uring. How many messages there are in a batch depends on what else the machine does.
COSTS = (
    Cost(_INSTRUCTIONS, "echo-server", "epoll", 200, "", server_instructions),
    Cost(_INSTRUCTIONS, "echo-server", "io_uring", 250, "", server_instructions),
    Cost(_INSTRUCTIONS, "loadgen", "epoll", 500, "", client_instructions),
    Cost(_INSTRUCTIONS, "loadgen", "io_uring", 500, "", client_instructions),
    Cost(_SYSCALLS, "echo-server", "epoll", 2, "", calls_a_message(_server_trace)),
    Cost(_SYSCALLS, "echo-server", "io_uring", 0, "", calls_a_message(_server_trace)),
    Cost(_SYSCALLS, "loadgen", "epoll", 2, "", calls_a_message(_client_trace)),
    Cost(_SYSCALLS, "loadgen", "io_uring", 0, "", calls_a_message(_client_trace)),
    Cost(_BATCHES, "echo-server", "epoll", 1, "", waits_a_message(_server_trace), worst=1),
    Cost(_BATCHES, "echo-server", "io_uring", 1, "", waits_a_message(_server_trace), worst=1),
    Cost(_BATCHES, "loadgen", "epoll", 1, "", waits_a_message(_client_trace), worst=2),
    Cost(_BATCHES, "loadgen", "io_uring", 1, "", waits_a_message(_client_trace), worst=2),
    Cost(_MEMORY, "echo-server", "epoll", 100, " B", server_memory),
    Cost(_MEMORY, "echo-server", "io_uring", 100, " B", server_memory),
    Cost(_MEMORY, "loadgen", "epoll", 300, " B", client_memory),
    Cost(_MEMORY, "loadgen", "io_uring", 300, " B", client_memory),
    Cost(_IDLE, "echo-server", "epoll", 0, " %", idle_cpu, worst=1),
    Cost(_IDLE, "echo-server", "io_uring", 0, " %", idle_cpu, worst=1),
)
