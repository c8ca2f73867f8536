"""scripts/readme: puts the recorded runs into the documents, or checks that they stand there.

So their figures cannot drift from runs that anyone can look up and repeat.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from echobench import cluster, result_set, strict_json, table
from echobench.command_line import Parser, run
from echobench.comparison import compare_all
from echobench.costs import COSTS
from echobench.findings import at_a_glance
from echobench.instructions import table as instructions_table
from echobench.loadgen_result import Result
from echobench.marked_block import splice
from echobench.method import repeat
from echobench.profile import Profile
from echobench.profile import table as profile_table
from echobench.reliability import Evidence
from echobench.reliability import table as faults_table
from echobench.result_set import BadResults, ResultSet
from echobench.soak_record import findings_of as soaks_of
from echobench.soak_record import rows as soak_rows
from echobench.summary import summary
from echobench.targets import TARGETS, beside_the_floor, standing, table_of

ROOT = Path(__file__).resolve().parents[2]
COSTS_RECORD = "results/costs.json"
PROFILE_RECORD = "results/profile.json"
RELIABILITY_RECORD = "results/reliability.json"
SOAK_RECORDS = "results/soak*.json"
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
        f"The slices are in [results/quickstart](results/quickstart).\n\n```text\n{shown}\n```"
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


def floor_block(record: ResultSet) -> str:
    """The engines and their peers beside the floor."""
    return (
        f"`{repeat(record.manifest)}` on {record.manifest.started_at[:10]}, "
        f"{_machine(_first_result(record))}. Throughput of the better of the two floors, and of "
        "the others as a share of it, with 95 % intervals. "
        f"[The whole report](../results/{record.name}/report.md).\n\n"
        f"{table.markdown(beside_the_floor(record))}"
    )


def beside_baseline_block(record: ResultSet) -> str:
    """A server beside itself with, or without, this or that."""
    rows = at_a_glance(record.manifest, record.slices, compare_all(record.manifest, record.slices))
    return (
        f"`{repeat(record.manifest)}` on {record.manifest.started_at[:10]}: throughput of "
        f"{record.manifest.baseline}, and of the others beside it.\n\n{table.markdown(rows)}"
    )


def targets_block() -> str:
    """Every target that has a record, and what was counted."""
    standings, commands = [], []
    for name in dict.fromkeys(each.record for each in TARGETS):
        folder = ROOT / "results" / name
        if folder.exists():
            record = result_set.read(folder)
            commands.append(f"{repeat(record.manifest)}   # results/{name}")
            standings += [standing(each, record) for each in TARGETS if each.record == name]
    parts = []
    if standings:
        shown = "\n".join(commands)
        parts.append(f"```\n{shown}\n```\n\n{table.markdown(table_of(standings), left=4)}")
    if (ROOT / COSTS_RECORD).exists():
        parts.append(costs_table(strict_json.parse((ROOT / COSTS_RECORD).read_text())))
    return "\n\n".join(parts)


def costs_table(record: Mapping[str, Any]) -> str:
    """What scripts/costs counted."""
    rows = [["counted", "of", "on", "", "at most", ""]]
    for cost in COSTS:
        counted = record["costs"][cost.name]
        word = "met" if round(counted, 2) <= cost.limit else "missed"
        rows.append([cost.what, cost.program, cost.backend, f"{counted:.3g}{cost.unit}",
                     f"{cost.limit:g}{cost.unit}", word])
    return (f"`scripts/costs` on {record['counted_at'][:10]}, {record['compiler']}:\n\n"
            f"{table.markdown(rows, left=3)}")


def instructions_block() -> str:
    """Where the instructions of a message stand."""
    if not (ROOT / COSTS_RECORD).exists():
        return ""
    record = strict_json.parse((ROOT / COSTS_RECORD).read_text())
    if "instructions" not in record:
        return ""
    return (f"`scripts/costs` on {record['counted_at'][:10]}, {record['compiler']}: user-space "
            "instructions a message, by the file that they stand in, or the library.\n\n"
            f"{table.markdown(instructions_table(record['instructions']))}")


def faults_block() -> str:
    """Which faults were tried, and what was lost."""
    if not (ROOT / RELIABILITY_RECORD).exists():
        return "Not recorded yet: `scripts/test --full --record` makes the table."
    record = strict_json.parse((ROOT / RELIABILITY_RECORD).read_text())
    lines = [Evidence(**each) for each in record["lines"]]
    return (f"`{' '.join(record['command'])}` on {record['recorded_at'][:10]}, Linux "
            f"{record['kernel']}: {record['outcome']}.\n\n"
            f"{table.markdown(faults_table(lines), left=5)}")


def soaks_block() -> str:
    """What was left of the servers after minutes, or an hour, of everything at once."""
    records = [strict_json.parse(path.read_text()) for path in sorted(ROOT.glob(SOAK_RECORDS))]
    if not records:
        return "Not recorded yet."
    findings = [each for record in records for each in soaks_of(record)]
    commands = [f"- `{' '.join(each['command'])}` until {each['ended_at'][:10]}, Linux "
                f"{each['kernel']}" for each in records]
    return f"{table.markdown(soak_rows(findings))}\n\n" + "\n".join(commands)


def profile_block() -> str:
    """Where the servers' time goes."""
    if not (ROOT / PROFILE_RECORD).exists():
        return ""
    record = strict_json.parse((ROOT / PROFILE_RECORD).read_text())
    profiles = [Profile(**each) for each in record["slices"]]
    tables = [table.markdown(profile_table(profiles, load)) for load in record["loads"]]
    return (
        f"`{' '.join(record['command'])}` on {record['recorded_at'][:10]}, Linux "
        f"{record['kernel']}: nanoseconds of the server's CPU for each message, and their standard "
        "errors.\n\n" + "\n\n".join(tables)
    )


def cluster_block() -> str:
    """How far many machines go, from what one did."""
    folder, costs = ROOT / "results" / cluster.RECORD, ROOT / COSTS_RECORD
    if not folder.exists() or not costs.exists():
        return ""
    record = result_set.read(folder)
    found = cluster.measured(record, strict_json.parse(costs.read_text()))
    return (
        f"From `{repeat(record.manifest)}` on {record.manifest.started_at[:10]} "
        f"({cluster.WORKLOAD}, {cluster.SIZE}-byte messages, {cluster.SUBJECT} on both sides), "
        f"{_machine(_first_result(record))}, and from `scripts/costs`:\n\n"
        f"{table.markdown(cluster.rows(found), left=3)}"
    )


def _of_preset(name: str, block: Callable[[ResultSet], str]) -> Callable[[], str]:
    def text() -> str:
        folder = ROOT / "results" / name
        return block(result_set.read(folder)) if folder.exists() else ""

    return text


BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "quickstart": _of_preset("quickstart", quickstart_block),
        "lab": _of_preset("lab", preset_block),
        "field": _of_preset("field", preset_block),
    },
    "docs/PERFORMANCE.md": {
        "targets": targets_block,
        "scaling": _of_preset("scaling", floor_block),
        "ladder": _of_preset("ladder", beside_baseline_block),
        "profile": profile_block,
        "instructions": instructions_block,
    },
    "docs/RELIABILITY.md": {"faults": faults_block, "soaks": soaks_block},
    "SECURITY.md": {
        "sandbox-epoll": _of_preset("sandbox-epoll", beside_baseline_block),
        "sandbox-io_uring": _of_preset("sandbox-io_uring", beside_baseline_block),
    },
    "docs/CLUSTER.md": {"limits": cluster_block},
}


def right_document(path: str, document: str) -> str:
    """The document as the records have it; what was not recorded has an empty block."""
    for name, block in BLOCKS[path].items():
        begin = f"<!-- {name}: begin (written by scripts/readme from results/; not by hand) -->"
        document = splice(document, begin, f"<!-- {name}: end -->", block())
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
    status = 0
    try:
        for path in BLOCKS:
            document = (ROOT / path).read_text(encoding="utf-8")
            right = right_document(path, document)
            if not check:
                (ROOT / path).write_text(right, encoding="utf-8")
            elif right != document:
                print(f"readme: {path} does not say what results/ says", file=sys.stderr)
                status = DOES_NOT_HOLD
    except (OSError, ValueError, BadResults) as error:
        print(f"readme: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    run(main)
