"""scripts/quickstart, once everything is built: epoll against io_uring in half a minute.

The shortest honest experiment: many short slices in random order inside blocks, a fresh server for
each, both sides on cores of their own, one verdict on one quantity; and its report.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from echobench.command_line import Parser, at_least_one, block_count, run, seconds, seed
from echobench.experiment import Experiment
from echobench.experiment_command import Order, conduct, repeating_command
from echobench.measure import utc_now
from echobench.plan import sweep
from echobench.result_set import Manifest
from echobench.subjects import backend
from echobench.summary import summary
from echobench.topology import place, usable_cpus
from echobench.whereabouts import PROGRAMS, from_here, new_folder

BACKENDS = ("epoll", "io_uring")


def parse_order(arguments: Sequence[str]) -> Order:
    """Reads the command line; argparse ends the program with status 2 where it is wrong."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    parser = Parser(prog="quickstart", allow_abbrev=False)
    parser.add_argument("--bin", type=Path, default=PROGRAMS)
    parser.add_argument("--out", type=Path, default=new_folder(f"quickstart-{stamp}"))
    parser.add_argument("--connections", type=at_least_one, default=500)
    parser.add_argument("--blocks", type=block_count, default=8)
    parser.add_argument("--duration", type=seconds, default=1.2)
    parser.add_argument("--warmup", type=seconds, default=0.4)
    parser.add_argument("--seed", type=seed, default=random.SystemRandom().randrange(2**31))
    parsed = parser.parse_args(arguments)
    manifest = Manifest(
        title="epoll against io_uring",
        command=repeating_command("scripts/quickstart", arguments, parsed.seed),
        started_at=utc_now(),
        finished_at=None,
        seed=parsed.seed,
        blocks=parsed.blocks,
        max_blocks=parsed.blocks,
        until=None,
        duration_s=parsed.duration,
        warmup_s=parsed.warmup,
        baseline=BACKENDS[0],
        subjects=[backend(each, from_here(parsed.bin)) for each in BACKENDS],
        unavailable={},
        workloads=sweep({"connections": [parsed.connections]}),
        placement=place(usable_cpus()),
        versions={},
    )
    return Order(manifest, from_here(parsed.bin), parsed.out, resume=False, report=True)


def show(experiment: Experiment) -> None:
    """Prints what was found."""
    manifest = experiment.manifest
    print(
        f"{manifest.workloads[0].name}, 64-byte messages; "
        f"medians of {manifest.blocks} slices of {manifest.duration_s:g} s each; "
        f"{manifest.placement.remark}\n"
    )
    print(summary(manifest, experiment.slices))
    for subject, reason in manifest.unavailable.items():
        print(f"{subject} was not measured: {reason}")
    print()


def main(arguments: Sequence[str]) -> int:
    """Measures and reports; the exit status."""
    return conduct(parse_order(arguments), "quickstart", show)


if __name__ == "__main__":
    run(main)
