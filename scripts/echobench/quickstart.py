"""scripts/quickstart, once everything is built: epoll against io_uring in half a minute.

The shortest honest experiment: many short slices in random order inside blocks, a fresh server for
each, both sides on cores of their own, one verdict on one quantity.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from echobench import comparison
from echobench.experiment import Experiment, Setting
from echobench.measure import RESULT_DOES_NOT_HOLD, CannotMeasure
from echobench.processes import Interrupted, raise_on_signals
from echobench.progress import Progress
from echobench.topology import place, usable_cpus

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = ("epoll", "io_uring")


def parse_setting(arguments: Sequence[str]) -> Setting:
    """Reads the command line; argparse ends the program with status 2 where it is wrong."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    parser = argparse.ArgumentParser(prog="quickstart", allow_abbrev=False)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--out", type=Path, default=ROOT / f"results/local/quickstart-{stamp}")
    parser.add_argument("--connections", type=_at_least_one, default=500)
    parser.add_argument("--blocks", type=_at_least_one, default=8)
    parser.add_argument("--duration", type=_seconds, default=1.2)
    parser.add_argument("--warmup", type=_seconds, default=0.4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parsed = parser.parse_args(arguments)
    return Setting(
        bin=_from_here(parsed.bin),
        out=parsed.out,
        connections=parsed.connections,
        message_size=64,
        blocks=parsed.blocks,
        duration_s=parsed.duration,
        warmup_s=parsed.warmup,
        seed=parsed.seed,
        placement=place(usable_cpus()),
    )


def _at_least_one(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 3600")
    return value


def report(experiment: Experiment) -> int:
    """Prints what was found; the exit status."""
    setting, slices = experiment.setting, experiment.slices
    baseline, candidate = [*experiment.subjects, None][:2]
    assert baseline is not None
    said, holds = comparison.judgement(slices)
    print(
        f"{setting.connections} connections, {setting.message_size}-byte messages; "
        f"medians of {setting.blocks} slices of {setting.duration_s:g} s each; "
        f"{setting.placement.remark}\n"
    )
    print(comparison.table(slices, baseline, candidate))
    print(f"\n{said}")
    for subject, reason in experiment.unavailable.items():
        print(f"{subject} was not measured: {reason}")
    if not holds:
        print("Invalid slices are part of these figures: they show nothing but the reasons above.")
    elif candidate is not None:
        print(comparison.conclusion(slices, baseline, candidate))
    print(f"\nEvery result is in {_from_here(setting.out)}/ (slices.jsonl; manifest.json says how)")
    return 0 if holds else RESULT_DOES_NOT_HOLD


def main(arguments: Sequence[str]) -> int:
    """Measures and reports; the exit status."""
    setting = parse_setting(arguments)
    raise_on_signals()
    experiment = progress = None
    try:
        experiment = Experiment(setting, BACKENDS)
        for subject, reason in experiment.unavailable.items():
            _say(f"{subject} is not to be had here: {reason}")
        total_s = experiment.total_s()
        what = " and ".join(experiment.subjects)
        _say(f"measuring {what} for {total_s:.0f} s, {setting.placement.remark}")
        progress = Progress(sys.stderr, total_s)
        experiment.run(progress)
        progress.clear()
        return report(experiment)
    except CannotMeasure as error:
        _end_early(progress, experiment, str(error))
        return 1
    except Interrupted as interrupted:
        _end_early(progress, experiment, f"interrupted by {interrupted}")
        return interrupted.exit_status


def _end_early(progress: Progress | None, experiment: Experiment | None, why: str) -> None:
    """Says why, and keeps the slices that are whole; without any, nothing is left behind."""
    if progress is not None:
        progress.clear()
    _say(why)
    if experiment is None or not experiment.setting.out.exists():
        return
    out = experiment.setting.out
    if experiment.slices:
        _say(f"{len(experiment.slices)} slices were finished; they are in {_from_here(out)}/")
        return
    for leftover in out.iterdir():
        leftover.unlink()
    out.rmdir()


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _say(text: str) -> None:
    """To the user; stdout is for the result."""
    print(f"quickstart: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
