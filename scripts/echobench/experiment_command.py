"""scripts/experiment, once everything is built: subjects x workloads, in blocks, into a folder."""

import argparse
import random
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from echobench import report, result_set, subjects
from echobench.command_line import Parser, block_count, numbers, percentage, run, seconds, seed
from echobench.comparison import compare_all, conclusion, judgement
from echobench.experiment import FEWEST_BLOCKS_UNTIL, Experiment
from echobench.measure import RESULT_DOES_NOT_HOLD, CannotMeasure, utc_now
from echobench.plan import LOADGEN_OPTIONS, Subject, Workload, sweep
from echobench.presets import PRESETS
from echobench.processes import Interrupted, raise_on_signals
from echobench.progress import Progress
from echobench.result_set import BadResults, Manifest
from echobench.topology import place, usable_cpus
from echobench.whereabouts import INSTALLED, PROGRAMS, ROOT, called, from_here, new_folder

UNREADABLE = 2
DEFAULT_BLOCKS = 20
MOST_BLOCKS_UNTIL = 100

DESCRIPTION = """\
Measures subjects under workloads against each other: many short slices, each with a fresh server,
in blocks that hold every subject once in random order. Ctrl-C keeps what was measured, and
--resume goes on with it.

A subject is a backend of echo-server (epoll, io_uring, poll, blocking), a peer in bench/peers or a
floor by its name (Boost.Asio, "plain epoll", floor, "spinning floor" ...), NAME=OPTIONS for
echo-server with these options, or NAME=COMMAND for any command with {port} in it:
  --subject=epoll --subject='calm=--backend=epoll --busy-poll=off' --subject='mine=./srv {port}'
The first one is the baseline unless --baseline names another. Options with values a,b,c make one
workload for each combination."""


@dataclass(frozen=True)
class Order:
    """What to do: measure this, with these programs, into that folder."""

    manifest: Manifest
    bin: Path
    out: Path
    resume: bool
    report: bool
    only_check: bool = False


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="experiment", allow_abbrev=False, description=DESCRIPTION,
        usage=f"{called('experiment')} --subject=... [OPTION]...\n"
        f"       {called('experiment')} --preset=lab|field|scaling [--quick] [OPTION]...\n"
        f"       {called('experiment')} --resume=DIR [OPTION]...",
        epilog=("" if INSTALLED else "The wrapper takes --no-install and --no-build too.\n") +
        "Exit status: 0 fine; 1 could not run or finish, or a subject failed; 2 usage, or a folder "
        "that\ncannot be read; 3 a slice's result does not hold; 130 interrupted.",
    )
    what = made.add_argument_group("what is measured")
    what.add_argument("--subject", action="append", default=[], metavar="SUBJECT",
                      help="one that is measured; see above; may be given again")
    what.add_argument("--preset", choices=list(PRESETS),
                      help="lab: the lecture's server to io_uring; field: beside other libraries; "
                      "scaling: beside the floor, 1 to 19,000 connections, 1 B to 1 MiB")
    what.add_argument("--quick", action="store_true", help="the preset in short slices")
    what.add_argument("--baseline", metavar="NAME", help="compare with this subject")
    what.add_argument("--connections", type=numbers, metavar="N,...",
                      help="of the load generator (500)")
    what.add_argument("--size", type=numbers, metavar="BYTES,...", help="of a message (64)")
    what.add_argument("--pipeline", type=numbers, metavar="N,...",
                      help="messages outstanding on a connection (1)")
    what.add_argument("--rate", type=numbers, metavar="N,...", help="messages per second, open "
                      "loop (none: closed)")
    what.add_argument("--sweep", action="append", type=_key_and_numbers, default=[],
                      metavar="KEY=N,...",
                      help="{KEY} in a subject's command takes these values; may be given again")
    what.add_argument("--client-option", action="append", default=[], metavar="OPTION",
                      help="an option of loadgen's, for all; may be given again")
    how = made.add_argument_group("how")
    how.add_argument("--blocks", type=block_count, metavar="N",
                     help=f"how many ({DEFAULT_BLOCKS}); at least 6 give an interval")
    how.add_argument("--until", type=percentage, metavar="2%",
                     help="go on until each interval of the quantity that counts is that narrow to "
                     "both sides")
    how.add_argument("--max-blocks", type=block_count, metavar="N",
                     help=f"with --until ({MOST_BLOCKS_UNTIL})")
    how.add_argument("--duration", type=seconds, metavar="S", help="of a slice, measured (1.2)")
    how.add_argument("--warmup", type=seconds, metavar="S", help="before it (0.3)")
    how.add_argument("--seed", type=seed, metavar="N", help="of the random order (a new one)")
    where = made.add_argument_group("where")
    where.add_argument("--out", type=Path, metavar="DIR",
                       help="where the results go (a new folder, NAME-TIME)")
    where.add_argument("--resume", type=Path, metavar="DIR", help="go on in this folder")
    where.add_argument("--bin", type=Path, default=PROGRAMS, metavar="DIR",
                       help="where echo-server and loadgen are")
    where.add_argument("--check-usage", action="store_true", help=argparse.SUPPRESS)
    where.add_argument("--no-report", action="store_true", help="only measure")
    return made


def parse_order(arguments: Sequence[str]) -> Order:
    """Reads the command line; argparse ends the program with status 2 where it is wrong.

    Raises BadResults where --resume names no folder of results.
    """
    made = parser()
    parsed = made.parse_args(arguments)
    if parsed.out is not None and parsed.out.exists():
        made.error(f"--out={parsed.out}: it exists already")
    if parsed.resume is not None:
        return _resumed(made, parsed)
    manifest = _new_manifest(made, parsed, arguments)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    name = parsed.preset or "experiment"
    out = parsed.out or new_folder(f"{name}-{stamp}")
    return Order(manifest, from_here(parsed.bin), out, False, not parsed.no_report,
                 parsed.check_usage)


def _resumed(made: argparse.ArgumentParser, parsed: argparse.Namespace) -> Order:
    """Only for how long it goes on may be said anew."""
    given = [
        action.option_strings[0]
        for action in made._actions
        if action.dest not in ("help", "resume", "bin", "blocks", "until", "max_blocks",
                               "no_report", "check_usage")
        and getattr(parsed, action.dest) not in (None, [], False)
    ]
    if given:
        made.error(f"--resume and {given[0]}: the folder says what is measured")
    manifest = result_set.read_manifest(parsed.resume)
    if parsed.blocks is not None or parsed.until is not None or parsed.max_blocks is not None:
        manifest = _bounded(
            manifest, parsed.blocks or manifest.blocks, parsed.until or manifest.until,
            parsed.max_blocks,
        )
    return Order(manifest, from_here(parsed.bin), parsed.resume, True, not parsed.no_report,
                 parsed.check_usage)


def _new_manifest(
    made: argparse.ArgumentParser, parsed: argparse.Namespace, arguments: Sequence[str]
) -> Manifest:
    bin_directory = from_here(parsed.bin)
    try:
        named = [subjects.parse(each, bin_directory, from_here(ROOT)) for each in parsed.subject]
    except subjects.BadSubject as error:
        made.error(f"--subject: {error}")
    loads = _workloads(parsed)
    if parsed.preset is not None:
        preset = PRESETS[parsed.preset](from_here(ROOT), bin_directory, parsed.quick)
        title, baseline = preset.title, preset.baseline
        named, loads = [*preset.subjects, *named], loads or list(preset.workloads)
        defaults = preset.blocks, preset.duration_s, preset.warmup_s
    elif named:
        title, baseline = " and ".join(each.name for each in named)[:200], named[0].name
        loads = loads or sweep({"connections": [500]})
        defaults = DEFAULT_BLOCKS, 1.2, 0.3
    else:
        made.error("--subject or --preset is needed")
    _check_names(made, named, loads)
    if parsed.baseline is not None and parsed.baseline not in [each.name for each in named]:
        made.error(f"--baseline={parsed.baseline}: no subject has this name")
    drawn = random.SystemRandom().randrange(2**31) if parsed.seed is None else parsed.seed
    manifest = Manifest(
        title=title,
        command=repeating_command(called("experiment"), arguments, drawn),
        started_at=utc_now(),
        finished_at=None,
        seed=drawn,
        blocks=defaults[0],
        max_blocks=defaults[0],
        until=None,
        duration_s=parsed.duration or defaults[1],
        warmup_s=parsed.warmup or defaults[2],
        baseline=parsed.baseline or baseline,
        subjects=named,
        unavailable={},
        workloads=loads,
        placement=place(usable_cpus()),
        versions={},
    )
    return _bounded(manifest, parsed.blocks or defaults[0], parsed.until, parsed.max_blocks)


def _check_names(
    made: argparse.ArgumentParser, named: Sequence[Subject], loads: Sequence[Workload]
) -> None:
    for what, names in (
        ("subjects", [each.name for each in named]), ("workloads", [each.name for each in loads]),
    ):
        for name in names:
            if names.count(name) > 1:
                made.error(f"two {what} have the name {name}")


def _bounded(
    manifest: Manifest, blocks: int, until: float | None, max_blocks: int | None
) -> Manifest:
    if until is None:
        return replace(manifest, blocks=blocks, max_blocks=blocks, until=None)
    blocks = max(FEWEST_BLOCKS_UNTIL, blocks if blocks != DEFAULT_BLOCKS else 0)
    most = max(blocks, max_blocks or MOST_BLOCKS_UNTIL)
    return replace(manifest, blocks=blocks, max_blocks=most, until=until)


def _workloads(parsed: argparse.Namespace) -> list[Workload]:
    """Of the options; none where none is given."""
    keys = {
        "connections": parsed.connections, "message_size": parsed.size,
        "pipeline": parsed.pipeline, "rate": parsed.rate, **dict(parsed.sweep),
    }
    given = {key: values for key, values in keys.items() if values is not None}
    if not given and not parsed.client_option:
        return []
    return sweep({"connections": [500], **given}, parsed.client_option)


def repeating_command(
    program: str, arguments: Sequence[str], drawn: int | None
) -> list[str]:
    """The command that does it again, elsewhere too: without what names a place, with the seed."""
    local = ("--out", "--bin", "--seed", "--no-report")
    kept = []
    skip = False
    for each in arguments:
        option, equals, _ = each.partition("=")
        if skip or option in local:
            skip = not skip and not equals and option != "--no-report"
            continue
        kept.append(each)
    return [program, *kept, *([] if drawn is None else [f"--seed={drawn}"])]


def conduct(order: Order, who: str, show: Callable[[Experiment], None]) -> int:
    """Measures, shows what came out, and writes the report; the exit status."""
    raise_on_signals()
    experiment = None
    progress = Progress(sys.stderr, who)
    try:
        if order.resume:
            experiment = Experiment.resume(order.out, order.bin, order.manifest)
        else:
            experiment = Experiment(order.manifest, order.bin, order.out)
        manifest = experiment.manifest
        for subject, reason in manifest.unavailable.items():
            progress.say(f"{subject} is not to be had here: {reason}")
        most = "at most " if manifest.until is not None else ""
        what = " and ".join(each.name for each in manifest.subjects)
        progress.say(f"measuring {what} for {most}{_clock(experiment.total_s())}, "
                     f"{manifest.placement.remark}")
        experiment.run(progress)
        progress.clear()
        pages = report.build(order.out) if order.report else []
        show(experiment)
        for path in pages:
            print(f"the report: {from_here(path)}")
        return status_of(experiment)
    except (CannotMeasure, BadResults) as error:
        _end_early(progress, experiment, str(error))
        return 1
    except Interrupted as interrupted:
        _end_early(progress, experiment, f"interrupted by {interrupted}")
        return interrupted.exit_status


def status_of(experiment: Experiment) -> int:
    """A subject that failed weighs more than one whose figures do not hold."""
    if any(each.failure is not None for each in experiment.slices):
        return 1
    return 0 if judgement(experiment.slices)[1] else RESULT_DOES_NOT_HOLD


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _end_early(progress: Progress, experiment: Experiment | None, why: str) -> None:
    """Says why, and keeps the slices that are whole; without any, nothing is left behind."""
    progress.say(why)
    if experiment is None or not experiment.out.exists():
        return
    out = from_here(experiment.out)
    if experiment.slices:
        progress.say(f"{len(experiment.slices)} slices were finished; they are in {out}/, and "
                     f"{called('experiment')} --resume={shlex.quote(str(out))} goes on")
        return
    for leftover in experiment.out.iterdir():
        leftover.unlink()
    experiment.out.rmdir()


def show(experiment: Experiment) -> None:
    """The answers, one line for each comparison."""
    for finding in compare_all(experiment.manifest, experiment.slices):
        if finding.primary:
            print(f"{finding.workload}: {conclusion(finding)}")
    said, _ = judgement(experiment.slices)
    print("\n" + "\n  ".join(said))
    for subject, reason in experiment.manifest.unavailable.items():
        print(f"{subject} was not measured: {reason}")
    for workload, subject in experiment.given_up():
        print(f"{subject} under {workload} was given up: it failed again and again")
    print(f"\nevery slice is in {from_here(experiment.out)}/")


def _key_and_numbers(text: str) -> tuple[str, list[float]]:
    key, equals, values = text.partition("=")
    if not re.fullmatch(r"[a-z][a-z_]{0,31}", key) or key in (*LOADGEN_OPTIONS, "port"):
        raise argparse.ArgumentTypeError(f"{text!r}: KEY=N,... with a KEY of your own is needed")
    return key, numbers(values)


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    try:
        order = parse_order(arguments)
    except BadResults as error:
        print(f"experiment: {error}", file=sys.stderr)
        return UNREADABLE
    return 0 if order.only_check else conduct(order, "experiment", show)


if __name__ == "__main__":
    run(main)
