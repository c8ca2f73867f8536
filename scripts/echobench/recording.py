"""scripts/recording: a run as one sees it in a terminal, for the README.

A shell on a pseudo terminal gets the commands as if they were typed. All that it shows is kept with
its time in results/recording/run.cast (asciicast, as asciinema plays it), and drawn in run.svg.
"""

import json
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from fcntl import ioctl
from pathlib import Path

from echobench.command_line import Parser, run
from echobench.processes import Interrupted, raise_on_signals
from echobench.terminal_svg import drawn

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "results/recording"
BIN = ROOT / "build/release/bin"
COLUMNS, ROWS = 112, 32
PROMPT = "$ "
PATIENCE_S = 60.0
KEY_S = 0.04
SERVER = "echo-server &"
CLIENT = "loadgen -c 500 -d 6s"


class CannotRecord(Exception):
    """The session did not go as it should; the text says how."""


class Session:
    """A shell on a terminal of its own, and all that it has shown so far."""

    def __init__(self, directory: Path) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir("/")
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "--noediting"],
                      {"PATH": f"{directory}:/usr/bin:/bin", "PS1": PROMPT,
                       "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
        ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.began = time.monotonic()
        self.events: list[tuple[float, str]] = []

    def shown(self) -> str:
        """Everything, controls and all."""
        return "".join(text for _, text in self.events)

    def wait(self, seconds: float) -> None:
        """Keeps what is shown meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                text = os.read(self.terminal, 65536).decode(errors="replace")
                self.events.append((time.monotonic() - self.began, text))

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Raises CannotRecord where that takes too long."""
        until = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > until:
                raise CannotRecord(f"expected {what}; the terminal shows:\n{self.shown()}")
            self.wait(0.02)

    def type(self, command: str) -> None:
        """Key by key."""
        for key in command + "\n":
            os.write(self.terminal, key.encode())
            self.wait(KEY_S)

    def close(self) -> None:
        """Ends the shell and what it has started: both hang up with their terminal."""
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def play(session: Session) -> None:
    """What is shown."""
    session.wait_until(lambda: session.shown().endswith(PROMPT), "a prompt")
    session.type(SERVER)
    session.wait_until(lambda: "listening on" in session.shown()
                       or "echo-server:" in session.shown(), "a server")
    if "listening on" not in session.shown():
        raise CannotRecord(f"the server does not start: {session.shown().splitlines()[-1]}")
    session.type("")  # for a prompt below what the server has said
    session.wait(0.5)
    session.type(CLIENT)
    session.wait_until(lambda: session.shown().endswith(PROMPT), "an end")


def cast(session: Session) -> str:
    """The session as an asciicast, version 2: a line of JSON for the whole, and one an event."""
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "timestamp": int(time.time()),
              "title": CLIENT, "env": {"SHELL": "/bin/bash", "TERM": "xterm-256color"}}
    lines = [json.dumps(header)]
    lines += [json.dumps([round(at, 3), "o", text]) for at, text in session.events]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = Parser(prog="recording", allow_abbrev=False, description=__doc__)
    parser.add_argument("--draw", action="store_true",
                        help="only draw the picture of the recorded session anew")
    parsed = parser.parse_args(arguments)
    try:
        if not parsed.draw:
            raise_on_signals()
            session = Session(BIN)
            try:
                play(session)
                text = cast(session)
            finally:
                session.close()
            FOLDER.mkdir(parents=True, exist_ok=True)
            (FOLDER / "run.cast").write_text(text, encoding="utf-8")
        kept = (FOLDER / "run.cast").read_text(encoding="utf-8")
        (FOLDER / "run.svg").write_text(drawn(kept), encoding="utf-8")
    except Interrupted as interrupted:
        return interrupted.exit_status
    except (CannotRecord, OSError) as error:
        print(f"recording: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    run(main)
