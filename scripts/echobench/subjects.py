"""Subjects as they are written on a command line.

    epoll                                     a backend of echo-server
    Boost.Asio                                a peer, or a floor, by its name (echobench.field)
    patient=--backend=epoll --busy-poll=off   echo-server with these options
    mine=./my_server.py {port}                any command; {port} is where it is to listen
"""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from echobench import field
from echobench.plan import DEFAULTS, NAME, NAME_RULE, Subject
from echobench.whereabouts import ROOT

BACKENDS = ("epoll", "io_uring", "poll", "blocking")


class BadSubject(ValueError):
    """The text names no subject; the message says what is allowed."""


def backend(name: str, bin_directory: Path) -> Subject:
    """One of echo-server's."""
    return Subject(name, [str(bin_directory / "echo-server"), f"--backend={name}"], own=True)


def parse(text: str, bin_directory: Path, root: Path = ROOT) -> Subject:
    """Reads one; raises BadSubject."""
    if text in BACKENDS:
        return backend(text, bin_directory)
    known = field.by_name(root, bin_directory)
    if text in known:
        return known[text]
    name, equals, command_text = text.partition("=")
    if not equals or not NAME.fullmatch(name):
        raise BadSubject(
            f"{text!r} is neither one of {', '.join((*BACKENDS, *known))} nor NAME=COMMAND "
            f"(a name has {NAME_RULE})"
        )
    try:
        command = shlex.split(command_text)
    except ValueError as error:
        raise BadSubject(f"{text!r}: {error}") from error
    if command and command[0].startswith("--"):
        return Subject(name, [str(bin_directory / "echo-server"), *command], own=True)
    if not any("{port}" in part for part in command):
        raise BadSubject(f"{text!r}: the command has no {{port}}, so nobody knows where it listens")
    return Subject(name, command)


def start_command(
    subject: Subject, keys: Mapping[str, float], cpu: int | None, port: int | None
) -> list[str]:
    """The command to start for a workload. Of echo-server, --cpu is its own option: it decides
    whether to spin by the CPUs that it may use before."""
    if subject.own:
        pin = [] if cpu is None or _has_option(subject, "--cpu") else [f"--cpu={cpu}"]
        return [*subject.command, "--port=0", *pin]
    command = []
    for part in subject.command:
        for key, value in (("port", port), *{**DEFAULTS, **keys}.items()):
            part = part.replace("{" + key + "}", f"{value:.15g}")
        command.append(part)
    return command


def missing(subject: Subject) -> str | None:
    """Why the command cannot be started at all, as far as that can be seen without starting it."""
    program = subject.command[0]
    if shutil.which(program) is None:
        return f"{program} is not there" + (f" ({subject.needs})" if subject.needs else "")
    return None


def _has_option(subject: Subject, option: str) -> bool:
    return any(part.partition("=")[0] == option for part in subject.command)
