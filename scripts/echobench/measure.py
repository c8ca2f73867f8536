"""One slice of an experiment: a fresh server, a load generator against it, and all they said.

Nothing is judged and nothing dropped here: a slice whose result does not hold (loadgen ends with 3)
is a slice like any other. Only what prevents a result at all is an error.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from echobench.processes import Program

READY_TIMEOUT_S = 20.0

# The programs' exit statuses, as cli/exit_code.h has them.
RESULT_DOES_NOT_HOLD = 3
UNAVAILABLE = 4


class CannotMeasure(Exception):
    """A program did not start, or did not give a result; the text says which and why."""


class Unavailable(Exception):
    """The server's backend cannot be had on this machine; the text is the server's reason."""


@dataclass(frozen=True)
class Slice:
    """What a slice leaves: enough to repeat it, and the result whole."""

    subject: str
    started_at: str
    server_command: list[str]
    client_command: list[str]
    server_exit: int
    client_exit: int
    server_stderr: str
    client_stderr: str
    result: dict[str, Any]


def check_available(server_command: Sequence[str]) -> str:
    """Starts the server and ends it again; the line it announced itself with.

    Raises Unavailable or CannotMeasure.
    """
    with Program(server_command, stdout_pipe=True) as server:
        return _wait_until_listening(server)


def run_slice(
    subject: str,
    server_command: Sequence[str],
    client_command: Callable[[str], Sequence[str]],
    timeout_s: float,
    tick: Callable[[], None] = lambda: None,
) -> Slice:
    """Measures once. `client_command` is given the address HOST:PORT that the server announced.

    Raises Unavailable or CannotMeasure.
    """
    started_at = utc_now()
    with Program(server_command, stdout_pipe=True) as server:
        address = _wait_until_listening(server).split()[2]
        with Program(client_command(address)) as client:
            client_exit = client.wait(timeout_s, tick)
            client_stderr = client.stderr()
            if client_exit is None:
                raise CannotMeasure(_failure(client, f"has not ended after {timeout_s:.0f} s"))
            if client_exit not in (0, RESULT_DOES_NOT_HOLD):
                raise CannotMeasure(_failure(client, f"ended with status {client_exit}"))
            result = _parse_result(client)
        if server.status is not None:
            raise CannotMeasure(_failure(server, f"ended by itself with status {server.status}"))
        server_exit = server.stop()
        if server_exit != 0:
            raise CannotMeasure(_failure(server, f"ended with status {server_exit}"))
        return Slice(
            subject=subject,
            started_at=started_at,
            server_command=server.command,
            client_command=client.command,
            server_exit=server_exit,
            client_exit=client_exit,
            server_stderr=server.stderr(),
            client_stderr=client_stderr,
            result=result,
        )


def utc_now() -> str:
    """The time of day, to the second, as RFC 3339 has it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _wait_until_listening(server: Program) -> str:
    """The server's line "listening on HOST:PORT (BACKEND)"."""
    line = server.first_line(READY_TIMEOUT_S)
    if line is not None and line.startswith("listening on "):
        return line
    status = server.stop() if line is not None else server.wait(1.0)
    if status == UNAVAILABLE:
        raise Unavailable(server.stderr().strip())
    raise CannotMeasure(_failure(server, f"did not say that it listens (status {status})"))


def _parse_result(client: Program) -> dict[str, Any]:
    try:
        result = json.loads(client.stdout())
    except json.JSONDecodeError as error:
        raise CannotMeasure(_failure(client, f"printed no JSON: {error}")) from error
    if not isinstance(result, dict):
        raise CannotMeasure(_failure(client, "printed JSON that is no object"))
    return result


def _failure(program: Program, what: str) -> str:
    said = program.stderr().strip()
    return f"{' '.join(program.command)}: {what}" + (f"\n{said}" if said else "")
