"""scripts/bench, once everything is built: runs the micro-benchmarks, keeps what they say in
results/bench, and writes the figures into docs/PERFORMANCE.md; or checks that they agree.
"""

import argparse
import difflib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from echobench.bench_record import Record, kept, to_text
from echobench.bench_tables import BUSY_LOAD, figures, splice
from echobench.processes import Interrupted, Program, raise_on_signals
from echobench.progress import Progress
from echobench.topology import place, usable_cpus

ROOT = Path(__file__).resolve().parents[2]
DOES_NOT_HOLD = 3

# What fraction of --min-time each program needs: nothing disturbs a loop that makes no system call.
PROGRAMS = {"exchange_bench": 1.0, "payload_bench": 0.25, "histogram_bench": 0.25,
            "bookkeeping_bench": 0.25}

# Google Benchmark goes on until at least the time asked for has passed, and tries how long that is.
OVERSHOOT = 1.5


@dataclass(frozen=True)
class Setting:
    """What the command line asks for."""

    programs: Path
    repetitions: int
    min_time_s: float
    records: Path
    document: Path
    action: str


class CannotMeasure(Exception):
    """A program could not be run to its end; the text says which and why."""


def parse_setting(arguments: Sequence[str]) -> Setting:
    """Reads the command line; argparse ends the program with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(prog="bench", allow_abbrev=False)
    parser.add_argument("--programs", type=Path, default=ROOT / "build/release/bench")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--min-time", type=float, default=1.0)
    parser.add_argument("--records", type=Path, default=ROOT / "results/bench")
    parser.add_argument("--document", type=Path, default=ROOT / "docs/PERFORMANCE.md")
    actions = parser.add_mutually_exclusive_group()
    for action in ("check", "table"):
        actions.add_argument(f"--{action}", dest="action", action="store_const", const=action)
    parsed = parser.parse_args(arguments)
    return Setting(
        programs=parsed.programs,
        repetitions=parsed.repetitions,
        min_time_s=parsed.min_time,
        records=parsed.records,
        document=parsed.document,
        action=parsed.action or "measure",
    )


# ---- measuring


def measure(setting: Setting) -> None:
    """Runs every program; the records are replaced only when all have come to their end."""
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        _say(f"other programs are running (load average {load:.2f}), and the figures will show it")
    _choose_cpus()
    texts = {}
    for program, fraction in PROGRAMS.items():
        texts[program] = _run(setting, program, setting.min_time_s * fraction)
    setting.records.mkdir(parents=True, exist_ok=True)
    for program, text in texts.items():
        (setting.records / f"{program}.json").write_text(text, encoding="utf-8")


def _choose_cpus() -> None:
    """The programs put the server on the first of the CPUs they may use, the client on the last."""
    placement = place(usable_cpus())
    if placement.server is not None and placement.client is not None:
        os.sched_setaffinity(0, {placement.server, placement.client})


def _run(setting: Setting, name: str, min_time_s: float) -> str:
    """The record of one program."""
    program = setting.programs / name
    arguments = [
        f"--benchmark_repetitions={setting.repetitions}",
        "--benchmark_enable_random_interleaving=true",
        f"--benchmark_min_time={min_time_s:g}",
    ]
    count = len(_output_of([str(program), "--benchmark_list_tests=true"]).split())
    total_s = count * setting.repetitions * min_time_s * OVERSHOOT
    _say(f"{name}: {count} benchmarks, about {total_s:.0f} s")
    progress = Progress(sys.stderr, "bench")
    with tempfile.NamedTemporaryFile(prefix="echobench-", suffix=".json") as out:
        to_file = [f"--benchmark_out={out.name}", "--benchmark_out_format=json"]
        _output_of([str(program), *arguments, *to_file], progress, total_s)
        return to_text(kept(json.loads(out.read()), arguments))


def _output_of(
    command: Sequence[str], progress: Progress | None = None, total_s: float = 0
) -> str:
    began = time.monotonic()

    def tick() -> None:
        if progress is not None:
            progress.update(Path(command[0]).name, total_s - (time.monotonic() - began))

    try:
        with Program(command) as program:
            while program.status is None:
                program.wait(3600, tick)
            if program.status != 0:
                said = program.stderr().strip().splitlines() or ["it said nothing"]
                raise CannotMeasure(f"{command[0]} ended with {program.status}: {said[-1]}")
            return program.stdout()
    except OSError as error:
        raise CannotMeasure(f"cannot start {command[0]}: {error.strerror}") from error
    finally:
        if progress is not None:
            progress.clear()


# ---- the document


def current(setting: Setting) -> tuple[str, str]:
    """The document as it is, and as it would be with the figures of the records."""
    records = {name: Record.read(setting.records / f"{name}.json") for name in PROGRAMS}
    document = setting.document.read_text(encoding="utf-8")
    return document, splice(document, figures(records))


def check(setting: Setting) -> int:
    """The exit status: whether the document says what the records say."""
    document, right = current(setting)
    if document == right:
        return 0
    lines = difflib.unified_diff(
        document.splitlines(), right.splitlines(), "as it is", "from the records", lineterm="", n=0
    )
    _say(f"{setting.document.name} does not say what {setting.records.name} says:")
    print("\n".join(lines), file=sys.stderr)
    return DOES_NOT_HOLD


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    setting = parse_setting(arguments)
    raise_on_signals()
    try:
        if setting.action == "check":
            return check(setting)
        if setting.action == "measure":
            measure(setting)
        setting.document.write_text(current(setting)[1], encoding="utf-8")
        return 0
    except (CannotMeasure, OSError, ValueError) as error:
        _say(str(error))
        return 1
    except Interrupted as interrupted:
        _say(f"interrupted by {interrupted}; nothing was written")
        return interrupted.exit_status


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
