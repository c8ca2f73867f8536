"""An experiment with one workload on a terminal's screen: table, judgement, answer."""

from collections.abc import Sequence

from echobench.comparison import by_cell, compare, conclusion, interval_text, judgement, typical
from echobench.loadgen_result import METRICS
from echobench.measure import Slice
from echobench.result_set import Manifest
from echobench.table import render


def summary(manifest: Manifest, slices: Sequence[Slice]) -> str:
    """The baseline and the first other subject, under the first workload."""
    said, _ = judgement(slices)
    parts = [_table(manifest, slices), "\n  ".join(said)]
    candidate = _candidate(manifest)
    if candidate is not None:
        workload, cells = manifest.workloads[0], by_cell(slices)
        findings = compare(
            workload,
            (manifest.baseline, cells.get((workload.name, manifest.baseline), [])),
            (candidate, cells.get((workload.name, candidate), [])),
        )
        parts += [conclusion(each) for each in findings if each.primary]
    return "\n\n".join(parts)


def _table(manifest: Manifest, slices: Sequence[Slice]) -> str:
    """The median over the slices for each subject, and candidate / baseline with its interval."""
    baseline, candidate, cells = manifest.baseline, _candidate(manifest), by_cell(slices)
    workload = manifest.workloads[0]
    one = cells.get((workload.name, baseline), [])
    if candidate is None:
        values = [(metric, typical(metric, one)) for metric in METRICS]
        rows = [[metric.name, "-" if value is None else metric.text(value)]
                for metric, value in values]
        return render([["", baseline], *rows])
    findings = compare(
        workload, (baseline, one), (candidate, cells.get((workload.name, candidate), []))
    )
    heading = ["", baseline, candidate, f"{candidate} / {baseline}", "95 % interval"]
    return render([heading, *(
        [
            each.metric.name,
            *("-" if value is None else each.metric.text(value)
              for value in (each.baseline_value, each.value)),
            *(("-", "-") if each.ratio is None
              else (f"{each.ratio.ratio:.3f}", interval_text(each.ratio))),
        ]
        for each in findings
    )])


def _candidate(manifest: Manifest) -> str | None:
    others = [each.name for each in manifest.subjects if each.name != manifest.baseline]
    return others[0] if others else None
