"""Findings as tables and as JSON: for people rounded and with units, for programs bare."""

from collections.abc import Sequence
from typing import Any

from echobench.comparison import Finding, by_cell, interval_text, primary_metric, typical
from echobench.loadgen_result import METRICS
from echobench.measure import Slice
from echobench.paired import FASTER, SLOWER
from echobench.plan import Workload
from echobench.result_set import Manifest

SHOWN = [each for each in METRICS if each.key in ("throughput", "p50", "p99", "server_cpu")]
WORDS_FOR_PEOPLE = 4
WORDS_IN_OVERVIEW = 3

DAGGER = "†"
DAGGER_NOTE = (
    "† Its own interval leaves out 1, but among so many quantities one does so now and then; "
    "beside the others (Holm) no difference is shown."
)


def words_of(finding: Finding) -> str:
    """The word, with the mark where its interval alone would say more."""
    return finding.words + (f" {DAGGER}" if finding.among_many else "")


def in_short(subject: str, findings: Sequence[Finding]) -> str:
    """One subject under all workloads: "poll: faster than blocking under 10 connections (x 1.90);
    100 connections (x 1.94). No difference shown under 1 connection (x 1.01)."."""
    own = [each for each in findings if each.subject == subject]
    parts = []
    for words in dict.fromkeys(each.words for each in own):
        alike = [each for each in own if each.words == words]
        claim = f"{words} than {alike[0].baseline}" if words in (FASTER, SLOWER) else words
        where = "; ".join(
            each.workload + ("" if each.ratio is None else f" (x {each.ratio.ratio:.2f})")
            for each in alike
        )
        parts.append(f"{claim} under {where}.")
    return f"{subject}: {' '.join(part[0].upper() + part[1:] for part in parts)}"


def for_people(findings: Sequence[Finding]) -> list[list[str]]:
    """A row for each; the first WORDS_FOR_PEOPLE columns are words."""
    rows = [["workload", "quantity", "subject", "in words", "ratio", "95 % interval", "value",
             "baseline", "blocks"]]
    for each in findings:
        rows.append([
            each.workload,
            each.metric.name,
            f"{each.subject} / {each.baseline}",
            words_of(each),
            "-" if each.ratio is None else f"{each.ratio.ratio:.3f}",
            "-" if each.ratio is None else interval_text(each.ratio),
            _text(each, each.value),
            _text(each, each.baseline_value),
            blocks_text(each),
        ])
    return rows


def for_programs(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """One flat object for each."""
    return [
        {
            "workload": each.workload,
            "metric": each.metric.key,
            "unit": each.metric.unit,
            "primary": each.primary,
            "subject": each.subject,
            "baseline": each.baseline,
            "value": each.value,
            "baseline_value": each.baseline_value,
            "ratio": None if each.ratio is None else each.ratio.ratio,
            "low": None if each.ratio is None else each.ratio.low,
            "high": None if each.ratio is None else each.ratio.high,
            "confidence": None if each.ratio is None else each.ratio.confidence,
            "p_value": None if each.ratio is None else each.ratio.p_value,
            "blocks": each.blocks,
            "left_out": each.left_out,
            "words": each.words,
        }
        for each in findings
    ]


def for_spreadsheets(findings: Sequence[Finding]) -> list[list[str]]:
    """The same as a table of bare numbers."""
    objects = for_programs(findings)
    if not objects:
        return [["workload"]]
    rows = [list(objects[0])]
    for each in objects:
        rows.append(["" if value is None else _bare(value) for value in each.values()])
    return rows


def blocks_text(finding: Finding) -> str:
    """ "20", or "18 of 20" where some are left out."""
    if finding.left_out == 0:
        return str(finding.blocks)
    return f"{finding.blocks} of {finding.blocks + finding.left_out}"


def _text(finding: Finding, value: float | None) -> str:
    return "-" if value is None else finding.metric.text(value)


def _bare(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def overview(
    manifest: Manifest, slices: Sequence[Slice], findings: Sequence[Finding]
) -> list[list[str]]:
    """A row for each workload and subject: how it stands to the baseline, and what it reached. The
    first WORDS_IN_OVERVIEW columns are words."""
    answers = {(each.workload, each.subject): each for each in findings if each.primary}
    cells = by_cell(slices)
    rows = [["workload", "subject", "in words", "ratio", "95 % interval",
             *(each.name for each in SHOWN)]]
    for workload in manifest.workloads:
        for subject in manifest.subjects:
            own = cells.get((workload.name, subject.name), [])
            values = [typical(metric, own) for metric in SHOWN]
            rows.append([
                workload.name,
                subject.name,
                *_standing(answers.get((workload.name, subject.name))),
                *("-" if value is None else metric.text(value)
                  for metric, value in zip(SHOWN, values)),
            ])
    return rows


def at_a_glance(
    manifest: Manifest, slices: Sequence[Slice], findings: Sequence[Finding]
) -> list[list[str]]:
    """A row for each subject, a column for each workload: what the baseline reached, and the
    others' ratios to it with their intervals. The first column is words."""
    answers = {(each.workload, each.subject): each for each in findings if each.primary}
    cells = by_cell(slices)

    def cell(workload: Workload, subject: str) -> str:
        finding = answers.get((workload.name, subject))
        if finding is None:
            metric = primary_metric(workload)
            value = typical(metric, cells.get((workload.name, subject), []))
            return "-" if value is None else metric.text(value)
        if finding.ratio is None:
            return finding.words
        ratio = finding.ratio
        return f"x {ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"

    return [
        ["", *(each.name for each in manifest.workloads)],
        *([subject.name, *(cell(each, subject.name) for each in manifest.workloads)]
          for subject in manifest.subjects),
    ]


def _standing(finding: Finding | None) -> list[str]:
    if finding is None:
        return ["the baseline", "1", "-"]
    if finding.ratio is None:
        return [words_of(finding), "-", "-"]
    return [words_of(finding), f"{finding.ratio.ratio:.3f}", interval_text(finding.ratio)]
