"""scripts/compare: what result sets say about each other, in words and numbers; and with --merge,
what results of several machines come to together."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from echobench import likeness, merge, result_set, table
from echobench.command_line import Parser, percentage, run
from echobench.comparison import (
    DOES_NOT_HOLD,
    Finding,
    by_cell,
    compare,
    compare_all,
    conclusion,
    judgement,
)
from echobench.findings import (
    DAGGER_NOTE,
    WORDS_FOR_PEOPLE,
    for_people,
    for_programs,
    for_spreadsheets,
)
from echobench.loadgen_result import METRICS
from echobench.measure import RESULT_DOES_NOT_HOLD
from echobench.paired import SLOWER, TOO_FEW
from echobench.result_set import BadResults, ResultSet
from echobench.whereabouts import called

UNREADABLE = 2

DESCRIPTION = """\
Compares what was measured. Of one result set, each subject with the baseline; of several, each
subject with the one of the same name in the first set.

Each ratio comes with a 95 % interval over the blocks, and with words: faster, slower, no difference
shown, too few runs. Unlike things are refused (size, mode, kernel, machine) unless --allow says
that they may differ.

With --merge, the results of `loadgen --json` from several machines that loaded one server at one
time are put together: counts are summed, histograms merged, and throughput is summed where the
windows (started_at, warm-up, elapsed_s, by each machine's wall clock) have 90 % of the longest in
common."""


class Refused(Exception):
    """The sets cannot be compared like this; the text says why and what would allow it."""


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line; argparse ends the program with status 2 where it is wrong."""
    parser = Parser(
        prog="compare",
        allow_abbrev=False,
        usage=f"{called('compare')} DIR... [OPTION]...\n"
        f"       {called('compare')} --merge FILE... [OPTION]...",
        description=DESCRIPTION,
        epilog="Exit status: 0 fine; 1 could not write; 2 usage, or a file that cannot be read, or "
        "unlike things;\n3 --fail-if-slower: slower, or not to be told; --merge: invalid.",
    )
    parser.add_argument("sets", nargs="+", type=Path, metavar="DIR",
                        help="a folder of results; with --merge, a file that loadgen --json wrote")
    parser.add_argument("--merge", action="store_true",
                        help="put results of one time together: the total, and a row for each file")
    parser.add_argument("--baseline", metavar="NAME", help="compare with this subject (the "
                        "experiment's own baseline); of several sets, the first one's")
    parser.add_argument("--metric", action="append", choices=[each.key for each in METRICS],
                        help="only this quantity; may be given again")
    parser.add_argument("--format", choices=list(FORMATS), default="text",
                        help="of what is printed (text)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there, not to stdout")
    parser.add_argument("--allow", metavar="ASPECT,...", type=_aspects, default=frozenset(),
                        help=f"what may differ: {', '.join(likeness.ASPECTS)}, all")
    parser.add_argument("--fail-if-slower", metavar="5%", type=percentage,
                        help="exit status 3 where the quantity that counts is shown to be worse by "
                        "that or more, or where too few runs hold to tell")
    parsed = parser.parse_args(arguments)
    if parsed.merge and (parsed.baseline or parsed.metric or parsed.fail_if_slower):
        parser.error("--merge: --baseline, --metric and --fail-if-slower do not go with it")
    return parsed


def _aspects(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if names == {"all"}:
        return frozenset(likeness.ASPECTS)
    if not names <= set(likeness.ASPECTS):
        raise argparse.ArgumentTypeError(f"{text!r}: {', '.join(likeness.ASPECTS)} or all")
    return names


def findings_of(sets: Sequence[ResultSet], baseline: str | None) -> list[Finding]:
    """Raises Refused where a name is not there or nothing can be compared."""
    first = sets[0]
    names = [each.name for each in first.manifest.subjects]
    if baseline is not None and baseline not in names:
        raise Refused(f"--baseline={baseline}: the subjects are {', '.join(names)}")
    if len(sets) == 1:
        manifest = first.manifest
        others = [name for name in names if name != (baseline or manifest.baseline)]
        if not others:
            raise Refused(f"{first.name} has one subject only, so there is nothing to compare")
        if baseline is not None:
            manifest = result_set.with_baseline(manifest, baseline)
        return compare_all(manifest, first.slices)
    return _across(sets, baseline)


def _across(sets: Sequence[ResultSet], baseline: str | None) -> list[Finding]:
    """Later sets beside the first. Their blocks were not measured next to each other; they are
    paired by number, which claims no more than that each set's runs vary alike."""
    first, found = sets[0], []
    cells = [by_cell(each.slices) for each in sets]
    for workload in likeness.common_workloads(sets):
        load = first.workload(workload)
        for index, later in enumerate(sets[1:], start=1):
            for subject in later.manifest.subjects:
                beside = baseline or subject.name
                one = cells[0].get((workload, beside))
                other = cells[index].get((workload, subject.name))
                if one and other:
                    found += compare(load, (f"{beside} ({first.name})", one),
                                     (f"{subject.name} ({later.name})", other))
    if not found:
        raise Refused("the sets have no subject under one workload in common")
    return found


def refuse_unlike(sets: Sequence[ResultSet], allowed: frozenset[str]) -> None:
    """Raises Refused."""
    common = likeness.common_workloads(sets)
    if not common:
        loads = " / ".join(", ".join(each.name for each in one.manifest.workloads) for one in sets)
        raise Refused(f"no workload is in all of the sets: {loads}")
    _refuse([each for each in likeness.differences(sets, common) if each.aspect not in allowed])


def _refuse(unlike: Sequence[likeness.Difference]) -> None:
    if unlike:
        aspects = ",".join(dict.fromkeys(each.aspect for each in unlike))
        raise Refused(
            f"unlike things: {'; '.join(each.text for each in unlike)} "
            f"(--allow={aspects} takes them all the same)"
        )


def as_text(findings: Sequence[Finding]) -> str:
    """For a terminal: the answers first."""
    answers = [f"{each.workload}: {conclusion(each)}" for each in findings if each.primary]
    parts = [table.render(for_people(findings), left=WORDS_FOR_PEOPLE)]
    if any(each.among_many for each in findings):
        parts.append(DAGGER_NOTE)
    return "\n\n".join([*parts, "\n".join(answers)]).strip() + "\n"


def as_markdown(findings: Sequence[Finding]) -> str:
    """A table, and the note that it needs."""
    note = f"\n\n{DAGGER_NOTE}" if any(each.among_many for each in findings) else ""
    return table.markdown(for_people(findings), left=WORDS_FOR_PEOPLE) + note + "\n"


FORMATS: dict[str, Callable[[Sequence[Finding]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "csv": lambda findings: table.as_csv(for_spreadsheets(findings)),
    "json": lambda findings: json.dumps(
        {"schema_version": 1, "comparisons": for_programs(findings)}, indent=2) + "\n",
    "latex": lambda findings: table.latex(for_people(findings), left=WORDS_FOR_PEOPLE),
}


def failures(findings: Sequence[Finding], threshold: float) -> list[str]:
    """Why a threshold is not met, comparison by comparison."""
    lines = []
    for each in findings:
        if not each.primary:
            continue
        what = f"{each.workload}: {each.subject} / {each.baseline}"
        if each.words in (TOO_FEW, DOES_NOT_HOLD):
            lines.append(f"{what}: {each.words}")
        elif each.words == SLOWER and each.ratio is not None:
            worse = 1 - each.ratio.ratio if each.metric.higher_is_better else each.ratio.ratio - 1
            if worse >= threshold:
                lines.append(f"{what}: {each.metric.name} is {worse:.1%} worse")
    return lines


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parsed = parse_arguments(arguments)
    if parsed.merge:
        return _merge(parsed)
    try:
        sets = [result_set.read(each) for each in parsed.sets]
        refuse_unlike(sets, parsed.allow)
        findings = findings_of(sets, parsed.baseline)
    except (BadResults, Refused) as error:
        _say(str(error))
        return UNREADABLE
    for one in sets:
        said, holds = judgement(one.slices)
        if not holds:
            _say(f"{one.name}: {said[0]}")
    wanted = parsed.metric or [each.key for each in METRICS]
    shown = [each for each in findings if each.metric.key in wanted]
    text = FORMATS[parsed.format](shown)
    if len(sets) > 1 and parsed.format == "text":
        _say("the sets were measured at different times: what changed between is in the ratios")
    if not _written(text, parsed.output):
        return 1
    if parsed.fail_if_slower is None:
        return 0
    failed = failures(findings, parsed.fail_if_slower)
    for line in failed:
        _say(line)
    return RESULT_DOES_NOT_HOLD if failed else 0


def _merge(parsed: argparse.Namespace) -> int:
    """The exit status."""
    try:
        runs = [merge.read(each) for each in parsed.sets]
        _refuse([each for each in merge.differences(runs) if each.aspect not in parsed.allow])
    except (BadResults, Refused) as error:
        _say(str(error))
        return UNREADABLE
    total = merge.total_of(runs)
    for reason in total.reasons:
        _say(f"{reason['code']}: {reason['message']}")
    if not _written(MERGE_FORMATS[parsed.format](total), parsed.output):
        return 1
    return RESULT_DOES_NOT_HOLD if total.status == "invalid" else 0


MERGE_FORMATS: dict[str, Callable[[merge.Total], str]] = {
    "text": lambda total: table.render(merge.rows(total)) + "\n",
    "markdown": lambda total: table.markdown(merge.rows(total)) + "\n",
    "csv": lambda total: table.as_csv(merge.rows(total)),
    "json": lambda total: json.dumps(
        {"schema_version": 1, **merge.for_programs(total)}, indent=2) + "\n",
    "latex": lambda total: table.latex(merge.rows(total)),
}


def _written(text: str, output: Path | None) -> bool:
    """Says why, where it cannot be."""
    try:
        if output is None:
            sys.stdout.write(text)
        else:
            output.write_text(text, encoding="utf-8")
    except OSError as error:
        _say(f"{output}: {error.strerror}")
        return False
    return True


def _say(text: str) -> None:
    print(f"compare: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run(main)
