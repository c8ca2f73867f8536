"""scripts/profile: where the servers' time goes at 500 connections; results/profile.json has the
record."""

import json
import platform
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from echobench import field, subjects, table, topology
from echobench.command_line import Parser, run
from echobench.measure import Setup, utc_now
from echobench.plan import Workload
from echobench.processes import raise_on_signals
from echobench.profile import (LEAD_S, TAIL_S, WINDOW_S, CannotProfile, Profile, profile,
                               subjects_to_profile)
from echobench.profile import table as profile_table

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "results/profile.json"
LOAD = Workload({"connections": 500})
LASTS_S = LEAD_S + WINDOW_S + TAIL_S


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
    own = [subjects.backend(name, parsed.bin) for name in ("epoll", "io_uring")]
    chosen = subjects_to_profile(field.by_name(ROOT, parsed.bin), own)
    cpus = topology.place(topology.usable_cpus())
    order = random.Random(1)
    profiles: list[Profile] = []
    try:
        for block in range(parsed.rounds):
            for subject in order.sample(chosen, len(chosen)):
                loadgen = subject.client or [str(parsed.bin / "loadgen")]

                def command(address: str, start: Sequence[str] = tuple(loadgen)) -> list[str]:
                    pin = ["taskset", "-c", str(cpus.client)]
                    return [*pin, *start, address, "--quiet", "--json=-", "--warmup=0.2s",
                            f"--duration={LASTS_S}s", *LOAD.options()]

                profiles.append(profile(Setup(block, LOAD.name, subject, LOAD.keys, cpus.server,
                                              command, 60.0)))
    except CannotProfile as error:
        print(f"profile: {error}", file=sys.stderr)
        return 1
    names = [each.name for each in chosen]
    print(table.render(profile_table(profiles, names)))
    if not parsed.no_record:
        record = {"command": ["scripts/profile"], "recorded_at": utc_now(), "load": LOAD.name,
                  "kernel": platform.release(), "subjects": names,
                  "slices": [asdict(each) for each in profiles]}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    run(main)
