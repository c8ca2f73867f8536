"""An experiment with one workload on a terminal's screen: table, judgement, answer."""

from collections.abc import Sequence

from echobench.comparison import (
    Finding,
    by_cell,
    compare_all,
    conclusion,
    interval_text,
    judgement,
    typical,
)
from echobench.loadgen_result import METRICS
from echobench.measure import Slice
from echobench.result_set import Manifest
from echobench.table import Rows, render


def summary(manifest: Manifest, slices: Sequence[Slice]) -> str:
    """The baseline and the first other subject, under the first workload. A quantity that neither
    has stands in no row."""
    findings = compare_all(manifest, slices)[: len(METRICS)]
    rows = _of_two(findings) if findings else _of_one(manifest, slices)
    said, _ = judgement(slices)
    answers = [conclusion(each) for each in findings if each.primary]
    return "\n\n".join([render(rows), "\n  ".join(said), *answers])


def _of_two(findings: Sequence[Finding]) -> Rows:
    """The median over the slices for each, and candidate / baseline with its interval."""
    baseline, candidate = findings[0].baseline, findings[0].subject
    rows = [["", baseline, candidate, f"{candidate} / {baseline}", "95 % interval"]]
    for each in findings:
        values = (each.baseline_value, each.value)
        if values != (None, None):
            texts = ["-" if value is None else each.metric.text(value) for value in values]
            ratio = ["-", "-"]
            if each.ratio is not None:
                ratio = [f"{each.ratio.ratio:.3f}", interval_text(each.ratio)]
            rows.append([each.metric.name, *texts, *ratio])
    return rows


def _of_one(manifest: Manifest, slices: Sequence[Slice]) -> Rows:
    own = by_cell(slices).get((manifest.workloads[0].name, manifest.baseline), [])
    values = [(metric, typical(metric, own)) for metric in METRICS]
    rows = [[metric.name, metric.text(value)] for metric, value in values if value is not None]
    return [["", manifest.baseline], *rows]
