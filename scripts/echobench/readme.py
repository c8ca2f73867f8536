"""scripts/readme: puts the recorded quickstart run into README.md, or checks that it stands there.

So the README's figures cannot drift from a run that anyone can look up and repeat.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from echobench import comparison
from echobench.marked_block import splice
from echobench.measure import Slice

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "results/quickstart"
DOCUMENT = ROOT / "README.md"
BEGIN = (
    "<!-- quickstart: begin "
    "(written by scripts/readme from results/quickstart; not by hand) -->"
)
END = "<!-- quickstart: end -->"
DOES_NOT_HOLD = 3


def read_slices(text: str) -> list[Slice]:
    """The lines of a slices.jsonl."""
    names = [field.name for field in fields(Slice)]
    lines = [json.loads(line) for line in text.splitlines()]
    return [Slice(**{name: line[name] for name in names}) for line in lines]


def block(manifest: dict[str, Any], slices: Sequence[Slice]) -> str:
    """The run as README shows it, in Markdown."""
    baseline, candidate = [*manifest["subjects"], None][:2]
    result = slices[0].result
    config, context = result["config"], result["context"]
    said, _ = comparison.judgement(slices)
    parts = [
        comparison.table(slices, baseline, candidate),
        said,
    ]
    if candidate is not None:
        parts.append(comparison.conclusion(slices, baseline, candidate))
    day = manifest["started_at"][:10]
    shown = "\n\n".join(parts)
    return (
        f"`scripts/quickstart` on {day}: {config['connections']} connections, "
        f"{config['message_size']}-byte messages, {len(slices) // len(manifest['subjects'])} "
        f"slices of {config['duration_s']:g} s for each; {context['cpu_model']}, "
        f"{context['cpus']} CPUs, Linux {context['kernel']}"
        f"{', a virtual machine' if context['hypervisor'] else ''}; "
        f"{manifest['placement']['remark']}. "
        f"The slices are in [results/quickstart](results/quickstart).\n\n```\n{shown}\n```"
    )


def right_document() -> str:
    """README.md as the record has it."""
    manifest = json.loads((RECORD / "manifest.json").read_text(encoding="utf-8"))
    slices = read_slices((RECORD / "slices.jsonl").read_text(encoding="utf-8"))
    return splice(DOCUMENT.read_text(encoding="utf-8"), BEGIN, END, block(manifest, slices))


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="readme", allow_abbrev=False, description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it agrees")
    check = parser.parse_args(arguments).check
    try:
        right = right_document()
        if not check:
            DOCUMENT.write_text(right, encoding="utf-8")
        elif right != DOCUMENT.read_text(encoding="utf-8"):
            print("readme: README.md does not say what results/quickstart says", file=sys.stderr)
            return DOES_NOT_HOLD
    except (OSError, ValueError, KeyError) as error:
        print(f"readme: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
