"""scripts/profile: where the servers' time goes; results/profile.json has the record."""

import json
import platform
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from echobench import subjects, table, topology
from echobench.command_line import Parser, run
from echobench.measure import Setup, utc_now
from echobench.plan import Subject, Workload
from echobench.processes import raise_on_signals
from echobench.profile import LEAD_S, TAIL_S, WINDOW_S, CannotProfile, Profile, profile
from echobench.profile import table as profile_table

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "results/profile.json"
ALL_BUSY = ("spinning floor", "epoll", "io_uring", "plain epoll")
LOADS = (
    (Workload({"connections": 1}), ALL_BUSY),
    (Workload({"connections": 500}), ALL_BUSY),
    (Workload({"connections": 32}, ["--churn=1"]), ("epoll", "io_uring", "libevent")),
)
LASTS_S = LEAD_S + WINDOW_S + TAIL_S


def _block(block: int, programs: Path) -> Iterator[Profile]:
    """Each server once under each load, in random order."""
    order = random.Random(block)
    for load, names in LOADS:
        for name in order.sample(names, len(names)):
            yield _slice(block, load, subjects.parse(name, programs, ROOT), programs)


def _slice(block: int, load: Workload, subject: Subject, programs: Path) -> Profile:
    cpus = topology.place(topology.usable_cpus())

    def command(address: str) -> list[str]:
        loadgen = subject.client or [str(programs / "loadgen")]
        return [*loadgen, address, f"--cpu={cpus.client}", "--quiet", "--json=-", "--warmup=0.2s",
                f"--duration={LASTS_S}s", *load.options()]

    return profile(Setup(block, load.name, subject, load.keys, cpus.server, command, 60.0))


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = Parser(prog="profile", allow_abbrev=False, description=__doc__)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin", metavar="DIR",
                        help="where echo-server and loadgen are")
    parser.add_argument("--rounds", type=int, default=10, metavar="N",
                        help="slices of each server (default 10)")
    parser.add_argument("--no-record", action="store_true", help="only print")
    parsed = parser.parse_args(arguments)
    raise_on_signals()
    try:
        profiles = [each for block in range(parsed.rounds) for each in _block(block, parsed.bin)]
    except CannotProfile as error:
        print(f"profile: {error}", file=sys.stderr)
        return 1
    for load, _ in LOADS:
        print(table.render(profile_table(profiles, load.name)))
    if not parsed.no_record:
        record = {"command": ["scripts/profile"], "recorded_at": utc_now(),
                  "kernel": platform.release(), "loads": [load.name for load, _ in LOADS],
                  "slices": [asdict(each) for each in profiles]}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    run(main)
