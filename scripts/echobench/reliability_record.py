"""What scripts/test --record keeps: what the fault tests have tried and seen, and how its steps
ended, in results/reliability.json. scripts/readme makes docs/RELIABILITY.md's table of it."""

import json
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from echobench.command_line import Parser, run
from echobench.measure import utc_now

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "results/reliability.json"
COMMAND = ["scripts/test", "--full", "--record"]


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = Parser(prog="reliability_record", allow_abbrev=False, description=__doc__)
    parser.add_argument("outcome", help="how the steps ended")
    parser.add_argument("evidence", type=Path, nargs="+", help="where tests have left their lines")
    parsed = parser.parse_args(arguments)
    lines = [json.loads(line) for file in parsed.evidence for line in file.read_text().splitlines()]
    version = subprocess.run([ROOT / "build/release/bin/echo-server", "--version"], text=True,
                             capture_output=True, check=True).stdout.partition("\n")[0]
    record = {"command": COMMAND, "recorded_at": utc_now(), "version": version,
              "kernel": platform.release(), "outcome": parsed.outcome, "lines": lines}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    run(main)
