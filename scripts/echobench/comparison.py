"""What the slices of two subjects say about each other: a ratio, its interval, and a word.

The interval of each quantity is its own 95 % interval. The words are stricter. One quantity was
named beforehand, throughput, or the 99th percentile where messages are sent by a schedule; it is
judged by its interval. The others are judged all together (`several`), or with seven quantities a
thing would differ from itself in one experiment of five.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from echobench.loadgen_result import METRICS, P99, THROUGHPUT, Metric, Verdict
from echobench.measure import Slice
from echobench.paired import FASTER, NO_DIFFERENCE, SLOWER, TOO_FEW, PairedRatio, paired_ratio
from echobench.paired import verdict as word_for
from echobench.plan import Workload
from echobench.result_set import Manifest
from echobench.several import holm

DOES_NOT_HOLD = "does not hold"
NO_RATIO = "no ratio"
SIGNIFICANCE = 0.05

# A block with a slice that does not hold is left out, and counted. More than a tenth of them is no
# accident but what the subject does, and leaving them out would flatter it.
MOST_LEFT_OUT = 0.1

STATUSES = ("valid", "questionable", "invalid", "failed")


@dataclass(frozen=True)
class Finding:
    """One quantity of one subject under one workload, beside the baseline's."""

    workload: str
    subject: str
    baseline: str
    metric: Metric
    value: float | None  # the median over the slices that hold
    baseline_value: float | None
    ratio: PairedRatio | None
    words: str
    primary: bool
    blocks: int  # that were compared
    left_out: int  # because a slice of theirs does not hold

    @property
    def among_many(self) -> bool:
        """Whether its interval alone leaves out 1, but not beside the other quantities."""
        ratio = self.ratio
        alone = ratio is not None and not ratio.low <= 1 <= ratio.high
        return alone and self.words == NO_DIFFERENCE


def primary_metric(workload: Workload) -> Metric:
    """The quantity that is named beforehand."""
    return P99 if workload.open_loop else THROUGHPUT


def compare(
    workload: Workload,
    baseline: tuple[str, Sequence[Slice]],
    candidate: tuple[str, Sequence[Slice]],
) -> list[Finding]:
    """Every quantity of the candidate; both come with the name to show."""
    pairs, left_out = _pairs(baseline[1], candidate[1])
    blocks = len(pairs) + left_out
    holds = left_out <= MOST_LEFT_OUT * blocks
    findings = []
    for metric in METRICS:
        ratio = _ratio([(metric.of(one), metric.of(other)) for one, other in pairs])
        primary = metric == primary_metric(workload)
        findings.append(
            Finding(
                workload=workload.name,
                subject=candidate[0],
                baseline=baseline[0],
                metric=metric,
                value=typical(metric, candidate[1]),
                baseline_value=typical(metric, baseline[1]),
                ratio=ratio if isinstance(ratio, PairedRatio) and holds else None,
                words=DOES_NOT_HOLD if not holds
                else ratio if isinstance(ratio, str)
                else word_for(ratio, metric.higher_is_better),
                primary=primary,
                blocks=len(pairs),
                left_out=left_out,
            )
        )
    return _judged_together(findings)


def compare_all(manifest: Manifest, slices: Sequence[Slice]) -> list[Finding]:
    """Every subject but the baseline beside the baseline, under every workload."""
    cells = by_cell(slices)
    return [
        finding
        for workload in manifest.workloads
        for subject in manifest.subjects
        if subject.name != manifest.baseline
        for finding in compare(
            workload,
            (manifest.baseline, cells.get((workload.name, manifest.baseline), [])),
            (subject.name, cells.get((workload.name, subject.name), [])),
        )
    ]


def widest_precision(slices: Sequence[Slice], manifest: Manifest) -> float | None:
    """Of the intervals of the primary quantities the widest; None where there is none yet."""
    found = [each for each in compare_all(manifest, slices) if each.primary]
    if any(each.words == TOO_FEW for each in found):
        return None
    return max((each.ratio.precision for each in found if each.ratio is not None), default=None)


def by_cell(slices: Iterable[Slice]) -> dict[tuple[str, str], list[Slice]]:
    """The slices of each (workload, subject), in the order in which they were measured."""
    cells: dict[tuple[str, str], list[Slice]] = {}
    for each in slices:
        cells.setdefault((each.workload, each.subject), []).append(each)
    return cells


def typical(metric: Metric, slices: Sequence[Slice]) -> float | None:
    """The median over the slices that hold; None where one of them could support no number: to
    leave it out would flatter its subject."""
    values = [metric.of(each) for each in slices if Verdict.of(each).holds]
    known = [value for value in values if value is not None]
    return median(known) if known and len(known) == len(values) else None


def conclusion(finding: Finding) -> str:
    """The sentence to take home, of a primary quantity."""
    if finding.ratio is None:
        return f"{finding.subject} against {finding.baseline}: {finding.words}."
    figures = (
        f"{finding.metric.name} x {finding.ratio.ratio:.3f}, 95 % interval "
        f"{interval_text(finding.ratio)}, {finding.ratio.blocks} blocks"
    )
    if finding.words in (FASTER, SLOWER):
        return f"{finding.subject} is {finding.words} than {finding.baseline} here ({figures})."
    return f"{finding.subject} against {finding.baseline}: {finding.words} ({figures})."


def judgement(slices: Sequence[Slice]) -> tuple[list[str], bool]:
    """What loadgen said of its own runs, reason by reason, and whether all of them hold."""
    verdicts = [Verdict.of(each) for each in slices]
    counts = Counter(each.status for each in verdicts)
    shown = [each for each in STATUSES if each != "failed" or counts[each]]
    lines = [f"{len(slices)} slices: " + ", ".join(f"{counts[each]} {each}" for each in shown)]
    found: dict[tuple[str, str], list[tuple[Slice, str]]] = {}
    for measured, judged in zip(slices, verdicts):
        for reason in judged.reasons:
            found.setdefault((judged.status, reason.code), []).append((measured, reason.message))
    for (status, code), cases in sorted(found.items(), key=lambda item: -len(item[1])):
        who = _named([each.subject for each, _ in cases], "subjects")
        where = _named([each.workload for each, _ in cases], "workloads")
        lines.append(f"{status} {who}, {code}, {len(cases)} x under {where}: {cases[0][1]}")
    return lines, all(each.holds for each in verdicts)


def _named(names: Sequence[str], what: str) -> str:
    """The one, or how many."""
    different = list(dict.fromkeys(names))
    return different[0] if len(different) == 1 else f"{len(different)} {what}"


def interval_text(ratio: PairedRatio) -> str:
    """ "0.899 to 1.005"."""
    return f"{ratio.low:.3f} to {ratio.high:.3f}"


def _pairs(
    baseline: Sequence[Slice], candidate: Sequence[Slice]
) -> tuple[list[tuple[Slice, Slice]], int]:
    """The slices of the same block, and how many blocks are left out. A block that was interrupted
    is neither."""
    one, other = ({each.block: each for each in slices} for slices in (baseline, candidate))
    bad = {each.block for each in (*baseline, *candidate) if not Verdict.of(each).holds}
    blocks = sorted((one.keys() & other.keys()) - bad)
    return [(one[block], other[block]) for block in blocks], len(bad)


def _ratio(values: Sequence[tuple[float | None, float | None]]) -> PairedRatio | str | None:
    """A word where there can be no ratio: a slice lacks the number, or it is not above 0."""
    below = [one for one, _ in values if one is not None and one > 0]
    above = [other for _, other in values if other is not None and other > 0]
    if len(below) < len(values) or len(above) < len(values):
        return NO_RATIO
    return paired_ratio(below, above)


def _judged_together(findings: Sequence[Finding]) -> list[Finding]:
    """Takes the word from secondary quantities that would not stand beside the others."""
    among = [each for each in findings if not each.primary and each.ratio is not None]
    adjusted = holm([each.ratio.p_value for each in among if each.ratio is not None])
    weak = {each.metric.key for each, p in zip(among, adjusted) if p > SIGNIFICANCE}
    return [
        replace(each, words=NO_DIFFERENCE) if each.metric.key in weak else each
        for each in findings
    ]
