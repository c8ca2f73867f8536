"""The user-space instructions that a message costs, by callgrind, and the files they stand in.

Callgrind hides the vDSO: a look at the clock is a system call there, and no instruction.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from echobench.counted import FEW, MANY, QUIET, load, serving, so_many, tool

Lines = Counter[str]  # instructions by source file, or library


def server_instructions(bin_directory: Path, backend: str) -> float:
    """Of user space, per message of 64 bytes."""
    return sum(server_files(bin_directory, backend).values())


def client_instructions(bin_directory: Path, backend: str) -> float:
    """Of loadgen, which compares every byte and records every latency."""
    return sum(client_files(bin_directory, backend).values())


def server_files(bin_directory: Path, backend: str) -> dict[str, float]:
    """The same by file."""
    return _a_message(*(_server(bin_directory, backend, count) for count in (FEW, MANY)))


def client_files(bin_directory: Path, backend: str) -> dict[str, float]:
    """The same by file."""
    return _a_message(*(_client(bin_directory, backend, count) for count in (FEW, MANY)))


def all_files(bin_directory: Path) -> dict[str, dict[str, float]]:
    """Of both programs on both engines."""
    return {f"{program}, {backend}": files(bin_directory, backend)
            for program, files in (("echo-server", server_files), ("loadgen", client_files))
            for backend in ("epoll", "io_uring")}


def table(counted: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """A row for each file that has some of them, and one for what is left."""
    least = 5
    names = {name for files in counted.values() for name, count in files.items() if count >= least}
    rows = [["", *counted]]
    sums = {name: sum(each.get(name, 0) for each in counted.values()) for name in names}
    for name in sorted(names, key=lambda one: (-sums[one], one)):
        rows.append([name, *(f"{files.get(name, 0):.0f}" for files in counted.values())])
    together = [sum(files.values()) for files in counted.values()]
    shown = [sum(files.get(name, 0) for name in names) for files in counted.values()]
    rows.append(["others", *(f"{every - some:.0f}" for every, some in zip(together, shown))])
    rows.append(["together", *(f"{every:.0f}" for every in together)])
    return rows


def _a_message(few: Lines, many: Lines) -> dict[str, float]:
    return {name: (many[name] - few[name]) / (MANY - FEW) for name in many | few}


def _server(bin_directory: Path, backend: str, messages: int) -> Lines:
    with tempfile.NamedTemporaryFile() as out:
        with serving(bin_directory, backend, _callgrind(out.name)) as (server, address):
            load(address, bin_directory, so_many(messages))
            server.stop()
        return by_file(Path(out.name).read_text())


def _client(bin_directory: Path, backend: str, messages: int) -> Lines:
    with tempfile.NamedTemporaryFile() as out, serving(bin_directory, "epoll") as (_, address):
        options = [*so_many(messages), f"--backend={backend}", QUIET]
        load(address, bin_directory, options, _callgrind(out.name))
        return by_file(Path(out.name).read_text())


def _callgrind(out: str) -> list[str]:
    return [tool("valgrind"), "--tool=callgrind", f"--callgrind-out-file={out}",
            "--compress-strings=no", "--compress-pos=no"]


def by_file(profile: str) -> Lines:
    """Of callgrind's output: the instructions of each line, added up by the file that the line
    stands in, inlined or not; where there is no file known, by the library."""
    found: Lines = Counter()
    library = source = ""
    inclusive = False
    for line in profile.splitlines():
        if line.startswith("ob="):
            library = line[3:]
        elif re.match(r"f[lie]=", line):
            source = line[3:]
        elif line.startswith("calls="):
            inclusive = True  # the next line is what the called function cost, told elsewhere
        elif re.match(r"\d+ \d+$", line):
            if not inclusive:
                found[_name(source, library)] += int(line.split()[1])
            inclusive = False
    return found


def _name(source: str, library: str) -> str:
    if source in ("", "???"):
        return Path(library).name
    ours = re.search(r"(?:^|/)((?:net|server|loadgen|cli)/[^/]+)$", source)
    return ours[1] if ours else Path(source).name
