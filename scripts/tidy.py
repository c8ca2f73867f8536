#!/usr/bin/python3
"""Runs clang-tidy on every source of a build tree, in parallel, and remembers what was clean.

clang-tidy takes seconds a file, nearly all of it for headers that did not change. A file that was
clean is not read again until something that the answer depends on changes: the file, a header of
this repository that it includes, the compile command, .clang-tidy, or clang-tidy itself.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build/lint-cache"

# The static analyzer follows every path through the macros of GoogleTest and Google Benchmark: most
# of a minute a file, for nothing. And tests cut strings of bytes where an escape would run on.
NOT_FOR_TESTS = "--checks=-clang-analyzer-*,-bugprone-suspicious-missing-comma"
TEST_ENDINGS = ("_test.cc", "_bench.cc")


COUNT = re.compile(r"(\d+ warnings?( and \d+ errors?)?|\d+ errors?) generated\.")
DIAGNOSTIC = re.compile(r"\S+:\d+:\d+: (error|warning): |error: ")


@dataclass(frozen=True)
class Source:
    """A file with the command that compiles it."""

    path: Path
    directory: Path
    arguments: tuple[str, ...]


def sources_of(build: Path) -> list[Source]:
    """The sources of this repository in the compilation database, generated ones left out."""
    entries = json.loads((build / "compile_commands.json").read_text())
    found: dict[Path, Source] = {}
    for entry in entries:
        path = Path(entry["directory"], entry["file"]).resolve()
        if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "build"):
            arguments = tuple(shlex.split(entry["command"]))
            found.setdefault(path, Source(path, Path(entry["directory"]), arguments))
    return sorted(found.values(), key=lambda source: source.path)


def headers_of(source: Source) -> list[Path]:
    """What the source includes, system headers left out, as its compiler says (-MM)."""
    arguments = list(source.arguments)
    if "-o" in arguments:
        at = arguments.index("-o")
        del arguments[at : at + 2]
    arguments = [each for each in arguments if each != "-c"] + ["-MM", "-MF", "-"]
    done = subprocess.run(
        arguments, cwd=source.directory, capture_output=True, text=True, check=True
    )
    rule = done.stdout.replace("\\\n", " ").partition(":")[2]
    return [(source.directory / name).resolve() for name in shlex.split(rule)]


def fingerprint(source: Source, files: Iterable[Path], common: bytes) -> str:
    """Changes when the answer may."""
    digest = hashlib.sha256(common)
    digest.update("\0".join(source.arguments).encode())
    for path in files:
        digest.update(f"\0{path}\0".encode())
        digest.update(path.read_bytes() if path.exists() else b"gone")
    return digest.hexdigest()


class Cache:
    """For each source that was clean: the files it was made of, and their fingerprint."""

    def __init__(self, directory: Path, common: bytes) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._common = common

    def knows(self, source: Source) -> bool:
        """Whether the source was clean and nothing has changed."""
        try:
            note = json.loads(self._place(source).read_text())
        except (OSError, json.JSONDecodeError):
            return False
        files = [Path(each) for each in note["files"]]
        return bool(note["fingerprint"] == fingerprint(source, files, self._common))

    def look(self, source: Source) -> dict[str, object]:
        """What would be noted; taken before the check, so that an edit meanwhile is not missed."""
        files = headers_of(source)
        return {
            "files": [str(each) for each in files],
            "fingerprint": fingerprint(source, files, self._common),
        }

    def note_clean(self, source: Source, note: dict[str, object]) -> None:
        """Remembers it."""
        place = self._place(source)
        fresh = place.with_suffix(".tmp")
        fresh.write_text(json.dumps(note))
        fresh.replace(place)

    def _place(self, source: Source) -> Path:
        name = str(source.path.relative_to(ROOT)).replace("/", "_")
        return self._directory / f"{name}.json"


def write_database(sources: Sequence[Source], directory: Path) -> None:
    """A compilation database with each file once: clang-tidy takes a file that several targets
    compile as often as it finds it."""
    entries = [
        {
            "directory": str(source.directory),
            "file": str(source.path),
            "arguments": source.arguments,
        }
        for source in sources
    ]
    (directory / "compile_commands.json").write_text(json.dumps(entries))


def check(source: Source, database: Path, cache: Cache) -> str | None:
    """The complaints, None where there are none."""
    note = cache.look(source)
    command = ["clang-tidy", "--quiet", "-p", str(database), str(source.path)]
    if source.path.name.endswith(TEST_ENDINGS):
        command.append(NOT_FOR_TESTS)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        cache.note_clean(source, note)
        return None
    return done.stdout + done.stderr


def diagnostics_in(output: str) -> list[str]:
    """Splits clang-tidy's output into its diagnostics, each with its notes; counts are left out."""
    lines = [line for line in output.splitlines() if not COUNT.fullmatch(line)]
    starts = [at for at, line in enumerate(lines) if DIAGNOSTIC.match(line)]
    if not starts:
        return ["\n".join(lines)]
    return ["\n".join(lines[at:end]) for at, end in zip(starts, [*starts[1:], len(lines)])]


def check_all(sources: Sequence[Source], cache: Cache) -> int:
    """Prints the complaints; how many sources have any."""
    bad = 0
    shown: set[str] = set()
    workers = len(os.sched_getaffinity(0))
    with (
        tempfile.TemporaryDirectory(prefix="tidy-") as database,
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
    ):
        write_database(sources, Path(database))
        for complaints in pool.map(lambda each: check(each, Path(database), cache), sources):
            if complaints is None:
                continue
            bad += 1
            for diagnostic in diagnostics_in(complaints):
                if diagnostic not in shown:  # one in a header comes back with each source
                    print(diagnostic, flush=True)
                shown.add(diagnostic)
    return bad


def main(build: Path, without_tests: bool) -> int:
    """Checks what is not known to be clean; the exit status."""
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes() + Path(__file__).read_bytes()
    cache = Cache(CACHE, common)
    sources = sources_of(build)
    if without_tests:
        sources = [each for each in sources if not each.path.name.endswith(TEST_ENDINGS)]
    todo = [source for source in sources if not cache.knows(source)]
    print(f"clang-tidy: {len(todo)} of {len(sources)} sources to check", flush=True)
    return 1 if check_all(todo, cache) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="the build tree")
    parser.add_argument("--without-tests", action="store_true")
    options = parser.parse_args()
    sys.exit(main(options.build.resolve(), options.without_tests))
