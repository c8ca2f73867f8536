"""scripts/readme: puts the recorded runs into README.md, or checks that they stand there.

So the README's figures cannot drift from runs that anyone can look up and repeat.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from echobench import result_set, table
from echobench.command_line import Parser, run
from echobench.comparison import compare_all
from echobench.findings import at_a_glance
from echobench.loadgen_result import Result
from echobench.marked_block import splice
from echobench.method import repeat
from echobench.result_set import BadResults, ResultSet
from echobench.summary import summary

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "README.md"
DOES_NOT_HOLD = 3


def quickstart_block(record: ResultSet) -> str:
    """The run as README shows it, in Markdown."""
    manifest = record.manifest
    result = _first_result(record)
    shown = summary(manifest, record.slices)
    return (
        f"`scripts/quickstart` on {manifest.started_at[:10]}: {manifest.workloads[0].name}, "
        f"{result['config']['message_size']}-byte messages, {manifest.blocks} "
        f"slices of {manifest.duration_s:g} s for each; {_machine(result)}; "
        f"{manifest.placement.remark}. "
        f"The slices are in [results/quickstart](results/quickstart).\n\n```\n{shown}\n```"
    )


def preset_block(record: ResultSet) -> str:
    """A recorded preset: its table, and where everything else is."""
    manifest = record.manifest
    findings = compare_all(manifest, record.slices)
    rows = at_a_glance(manifest, record.slices, findings)
    return (
        f"### {manifest.title}\n\n"
        f"`{repeat(manifest)}` on {manifest.started_at[:10]}, "
        f"{_machine(_first_result(record))}. Throughput of {manifest.baseline}, and of the others "
        "beside it, with 95 % intervals: where one holds 1, no difference was shown. "
        f"[The whole report](results/{record.name}/report.md).\n\n"
        f"{table.markdown(rows)}"
    )


BLOCKS: dict[str, Callable[[ResultSet], str]] = {
    "quickstart": quickstart_block,
    "lab": preset_block,
    "field": preset_block,
}


def right_document(document: str) -> str:
    """README.md as the records have it; what was not recorded has an empty block."""
    for name, block in BLOCKS.items():
        folder = ROOT / "results" / name
        begin = (f"<!-- {name}: begin (written by scripts/readme from results/{name}; "
                 "not by hand) -->")
        text = block(result_set.read(folder)) if folder.exists() else ""
        document = splice(document, begin, f"<!-- {name}: end -->", text)
    return document


def _first_result(record: ResultSet) -> Result:
    return next(each.result for each in record.slices if each.result is not None)


def _machine(result: Result) -> str:
    context = result["context"]
    virtual = ", a virtual machine" if context["hypervisor"] else ""
    return f"{context['cpu_model']}, {context['cpus']} CPUs, Linux {context['kernel']}{virtual}"


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = Parser(prog="readme", allow_abbrev=False, description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it agrees")
    check = parser.parse_args(arguments).check
    try:
        document = DOCUMENT.read_text(encoding="utf-8")
        right = right_document(document)
        if not check:
            DOCUMENT.write_text(right, encoding="utf-8")
        elif right != document:
            print("readme: README.md does not say what results/ says", file=sys.stderr)
            return DOES_NOT_HOLD
    except (OSError, ValueError, BadResults) as error:
        print(f"readme: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    run(main)
