"""scripts/reliability: tries every fault at its full size, on every backend, with and without
sanitizers; results/reliability.json has the record, docs/RELIABILITY.md the table."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from echobench.command_line import Parser, run
from echobench.measure import utc_now

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "results/reliability.json"
BUILDS = ("release", "dev")


def tests(build: str, only: str, full: bool, evidence: str) -> int:
    """Runs them with the programs of a build; pytest's exit status."""
    environment = {**os.environ, "ECHOBENCH_BIN": str(ROOT / "build" / build / "bin"),
                   "ECHOBENCH_FULL": "1" if full else "0", "ECHOBENCH_EVIDENCE": evidence,
                   "PYTHONDONTWRITEBYTECODE": "1"}
    files = sorted(path.name for path in (ROOT / "tests").glob("test_fault_*.py"))
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", only,
               *files]
    return subprocess.run(command, cwd=ROOT / "tests", env=environment, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = Parser(prog="reliability", allow_abbrev=False, description=__doc__)
    parser.add_argument("--only", default="", metavar="EXPRESSION",
                        help="the tests whose names match, as pytest's -k; nothing is recorded")
    parser.add_argument("--short", action="store_true",
                        help="at the size that scripts/test takes; nothing is recorded")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        evidence = Path(folder, "evidence")
        evidence.touch()
        started = utc_now()
        failed = [build for build in BUILDS
                  if tests(build, parsed.only, not parsed.short, str(evidence)) != 0]
        if failed:
            print(f"reliability: not all passed with {' and '.join(failed)}; nothing is recorded",
                  file=sys.stderr)
            return 1
        lines = [json.loads(line) for line in evidence.read_text().splitlines()]
    if not parsed.only and not parsed.short:
        version = subprocess.run([ROOT / "build/release/bin/echo-server", "--version"], text=True,
                                 capture_output=True, check=True).stdout.partition("\n")[0]
        record = {"command": ["scripts/reliability"], "recorded_at": started, "version": version,
                  "kernel": platform.release(), "lines": lines}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print("reliability: recorded in results/reliability.json; scripts/readme shows it",
              file=sys.stderr)
    return 0


if __name__ == "__main__":
    run(main)
