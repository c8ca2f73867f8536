"""scripts/costs: counts what a message and a connection cost; results/costs.json has the record."""

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from echobench.command_line import Parser, run
from echobench.costs import COSTS
from echobench.counted import CannotCount
from echobench.instructions import all_files
from echobench.measure import utc_now
from echobench.processes import raise_on_signals

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "results/costs.json"


def compiler() -> str:
    """What the counts of instructions depend on."""
    said = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=True).stdout
    return said.partition("\n")[0]


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = Parser(prog="costs", allow_abbrev=False, description=__doc__)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin", metavar="DIR",
                        help="where echo-server and loadgen are")
    parser.add_argument("--no-record", action="store_true", help="only print")
    parsed = parser.parse_args(arguments)
    raise_on_signals()
    counted = {}
    try:
        for cost in COSTS:
            counted[cost.name] = cost.count(parsed.bin, cost.backend)
            print(f"{counted[cost.name]:8.4g}{cost.unit}  {cost.name} (at most {cost.limit:g})",
                  flush=True)
        instructions = all_files(parsed.bin)
    except CannotCount as error:
        print(f"costs: {error}", file=sys.stderr)
        return 1
    if not parsed.no_record:
        version = subprocess.run([parsed.bin / "echo-server", "--version"], capture_output=True,
                                 text=True, check=True).stdout.partition("\n")[0]
        record = {"command": ["scripts/costs"], "counted_at": utc_now(), "version": version,
                  "compiler": compiler(), "kernel": platform.release(), "costs": counted,
                  "instructions": instructions}
        RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    run(main)
