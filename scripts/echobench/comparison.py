"""What the slices of two subjects say about each other, as a table and as one sentence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from echobench.loadgen_result import METRICS, THROUGHPUT, Metric, Verdict
from echobench.measure import RESULT_DOES_NOT_HOLD, Slice
from echobench.paired import NO_DIFFERENCE, PairedRatio, paired_ratio, verdict
from echobench.table import render

STATUSES = ("valid", "questionable", "invalid")


def table(slices: Sequence[Slice], baseline: str, candidate: str | None) -> str:
    """The median over the slices for each subject, and candidate / baseline with its interval."""
    heading = ["", baseline]
    if candidate is not None:
        heading += [candidate, f"{candidate} / {baseline}", "95 % interval"]
    rows = [heading]
    for metric in METRICS:
        values = _by_subject(slices, metric)
        row = [metric.name, _median_text(metric, values[baseline])]
        if candidate is not None:
            ratio = _ratio(values, baseline, candidate)
            row.append(_median_text(metric, values[candidate]))
            row += ["-", "-"] if ratio is None else [f"{ratio.ratio:.3f}", _interval(ratio)]
        rows.append(row)
    return render(rows)


def conclusion(slices: Sequence[Slice], baseline: str, candidate: str) -> str:
    """The sentence to take home. On throughput only: see `paired.verdict` for why on one thing."""
    ratio = _ratio(_by_subject(slices, THROUGHPUT), baseline, candidate)
    words = verdict(ratio, THROUGHPUT.higher_is_better)
    if ratio is None:
        return f"{candidate} against {baseline}: {words}."
    figures = (
        f"throughput x {ratio.ratio:.3f}, 95 % interval {_interval(ratio)}, {ratio.blocks} blocks"
    )
    if words == NO_DIFFERENCE:
        return f"{candidate} against {baseline}: {words} ({figures})."
    return f"{candidate} is {words} than {baseline} here ({figures})."


def judgement(slices: Sequence[Slice]) -> tuple[str, bool]:
    """What loadgen said of its own runs, reason by reason, and whether all of them hold."""
    verdicts = [Verdict.of(each.result) for each in slices]
    counts = Counter(each.status for each in verdicts)
    lines = [f"{len(slices)} slices: " + ", ".join(f"{counts[each]} {each}" for each in STATUSES)]
    times: Counter[tuple[str, str, str]] = Counter()
    example: dict[tuple[str, str, str], str] = {}
    for measured, judged in zip(slices, verdicts):
        for reason in judged.reasons:
            key = (judged.status, measured.subject, reason.code)
            times[key] += 1
            example.setdefault(key, reason.message)
    for key, count in times.most_common():
        status, subject, code = key
        lines.append(f"  {status} {subject} {code}, {count} x: {example[key]}")
    holds = counts["invalid"] == 0 and all(
        each.client_exit != RESULT_DOES_NOT_HOLD for each in slices
    )
    return "\n".join(lines), holds


Values = Mapping[str, Sequence[float | None]]


def _by_subject(slices: Sequence[Slice], metric: Metric) -> Values:
    """The metric's values for each subject, in the order of the blocks."""
    values: dict[str, list[float | None]] = {}
    for measured in slices:
        values.setdefault(measured.subject, []).append(metric.of(measured.result))
    return values


def _ratio(values: Values, baseline: str, candidate: str) -> PairedRatio | None:
    """None where a slice could support no number: to leave it out would flatter its subject."""
    below, above = values[baseline], values[candidate]
    known_below = [value for value in below if value is not None]
    known_above = [value for value in above if value is not None]
    if len(known_below) < len(below) or len(known_above) < len(above):
        return None
    return paired_ratio(known_below, known_above)


def _median_text(metric: Metric, values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return metric.text(median(known)) if len(known) == len(values) else "-"


def _interval(ratio: PairedRatio) -> str:
    return f"{ratio.low:.3f} to {ratio.high:.3f}"
