"""scripts/soak: each backend under load and faults for minutes, and a table of what came of it."""

import argparse
import json
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from echobench import table
from echobench.command_line import Parser, at_least_one, run, seed
from echobench.processes import Interrupted, raise_on_signals
from echobench.soak import UNAVAILABLE, CannotRun, Finding, Plan, soak
from echobench.soak_record import record, rows
from echobench.subjects import BACKENDS

ROOT = Path(__file__).resolve().parents[2]


def minutes(text: str) -> float:
    """Up to a day."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})?", text) or not 0 < float(text) <= 1440:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes up to 1440")
    return float(text)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Ends the program where they are wrong."""
    parser = Parser(prog="soak", allow_abbrev=False, description=__doc__)
    parser.add_argument("--minutes", type=minutes, default=10, metavar="N",
                        help="how long each backend is soaked (10)")
    parser.add_argument("--backend", choices=BACKENDS, action="append",
                        help="only this one; may be given more than once")
    parser.add_argument("--connections", type=at_least_one, default=500, metavar="N",
                        help="at a time (500)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the record goes")
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin", metavar="DIR",
                        help="where echo-server is")
    parser.add_argument("--seed", type=seed, default=1, metavar="N",
                        help="who comes, goes and says what (1)")
    return parser.parse_args(arguments)


def raise_open_files() -> None:
    """The clients need a descriptor each, and so does the server, which inherits the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def version_of(bin_directory: Path) -> str:
    """The first line of --version."""
    return subprocess.run([bin_directory / "echo-server", "--version"], capture_output=True,
                          text=True, check=True).stdout.partition("\n")[0]


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parsed = parse(arguments)
    plan = Plan(60 * parsed.minutes, parsed.connections, seed=parsed.seed,
                idle_s=min(5.0, 60 * parsed.minutes / 4))
    raise_open_files()
    raise_on_signals()
    findings: list[Finding] = []
    try:
        for backend in parsed.backend or BACKENDS:
            try:
                findings.append(soak(parsed.bin, backend, plan))
            except CannotRun as error:
                print(f"soak: {error}", file=sys.stderr)
                if parsed.backend or not error.unavailable:
                    return UNAVAILABLE if error.unavailable else 1
    except Interrupted as interrupted:
        return interrupted.exit_status
    except OSError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    print(table.render(rows(findings)))
    for finding in findings:
        for problem in finding.problems:
            print(f"soak: {finding.backend}: {problem}", file=sys.stderr)
    if parsed.json:
        text = json.dumps(record(plan, version_of(parsed.bin), findings), indent=2)
        parsed.json.write_text(text + "\n", encoding="utf-8")
    return 1 if any(finding.problems for finding in findings) else 0


if __name__ == "__main__":
    run(main)
