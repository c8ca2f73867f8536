"""How fast ours is to be, and whether the records show it: ratios, each within one experiment.

A target is met where the whole 95 % interval is on its good side, missed where the whole interval
is on the other, and else not shown either way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from echobench.comparison import by_cell, compare, typical
from echobench.field import FLOORS
from echobench.loadgen_result import (CLIENT_CPU, METRICS, SERVER_CPU, THROUGHPUT, Metric,
                                      Verdict)
from echobench.measure import Slice
from echobench.paired import PairedRatio, paired_ratio
from echobench.result_set import ResultSet

P50 = next(each for each in METRICS if each.key == "p50")
PEERS = ("plain epoll", "libuv", "libevent", "Boost.Asio")
OURS = ("epoll", "io_uring")

Cells = dict[tuple[str, str], list[Slice]]


@dataclass(frozen=True)
class Target:
    """A quantity of a subject under a workload, divided by that of the best of others (`against`),
    by its own under another workload (`beside`), or by another quantity of the same slices (`per`).
    """

    record: str  # the folder in results/
    workload: str
    subject: str
    metric: Metric
    limit: float  # at least; where less is better, at most
    against: Sequence[str] = ()
    beside: str = ""
    per: Metric | None = None

    @property
    def needed(self) -> str:
        """ "at least 0.90"."""
        return f"at {'least' if self.metric.higher_is_better else 'most'} {self.limit:.2f}"


def _both(target: Target, names: Sequence[str] = OURS) -> list[Target]:
    return [replace(target, subject=name) for name in names]


def _throughput(
    workload: str, limit: float, against: Sequence[str], record: str = "scaling"
) -> list[Target]:
    return _both(Target(record, workload, "", THROUGHPUT, limit, against))


TARGETS = (
    *_throughput("500 connections", 0.90, FLOORS, "floor"),
    *_throughput("500 connections", 1.0, ("plain epoll", "Boost.Asio"), "floor"),
    *_both(Target("busy-poll", "1 connection", "", P50, 1.15, FLOORS),
           ("epoll always", "io_uring always")),
    *(Target("busy-poll", load, name, THROUGHPUT, 0.90, [f"{name} always"])
      for name in OURS for load in ("1 connection", "500 connections")),
    *_throughput("50 connections, pipeline 16", 1.3, PEERS),
    # A saturated server's time a message: 0.35 µs where plain epoll's is 0.40.
    *_both(Target("scaling", "50 connections, pipeline 16", "", SERVER_CPU, 0.35 / 0.40,
                  ["plain epoll"])),
    *_both(Target("asleep", "500 connections, busy-poll=off", "", CLIENT_CPU, 1.0, per=SERVER_CPU)),
    *_throughput("4 connections, 64 KiB", 1.0, PEERS, "large"),
    *_throughput("4 connections, 64 KiB", 0.8, FLOORS, "large-64k"),
    *_throughput("4 connections, 1 MiB", 1.0, PEERS, "large"),
    *_throughput("4 connections, 1 MiB", 0.8, FLOORS, "large"),
    *_both(Target("churn", "32 connections, churn=1", "", THROUGHPUT, 1.1, PEERS)),
    *_both(Target("scaling", "19000 connections", "", THROUGHPUT, 0.8, beside="500 connections")),
)


@dataclass(frozen=True)
class Standing:
    """A target and what the record says of it."""

    target: Target
    divisor: str  # what it was divided by
    ratio: PairedRatio | None

    @property
    def word(self) -> str:
        """In one of four."""
        if self.ratio is None:
            return "no interval"
        if self.target.metric.higher_is_better:
            met, missed = self.ratio.low >= self.target.limit, self.ratio.high < self.target.limit
        else:
            met, missed = self.ratio.high <= self.target.limit, self.ratio.low > self.target.limit
        return "met" if met else "missed" if missed else "not shown either way"


def standing(target: Target, record: ResultSet) -> Standing:
    """Raises KeyError where the record has no such subject or workload."""
    cells = by_cell(record.slices)
    own = cells[target.workload, target.subject]
    if target.per:
        return Standing(target, target.per.name,
                        _between((target.per, own), (target.metric, own)))
    if target.beside:
        other = cells[target.beside, target.subject]
        return Standing(target, target.beside,
                        _between((target.metric, other), (target.metric, own)))
    other_name = best(target.against, target.workload, target.metric, cells)
    pair = (other_name, cells.get((target.workload, other_name), [])), (target.subject, own)
    findings = compare(record.workload(target.workload), *pair)
    found = next(each for each in findings if each.metric == target.metric)
    return Standing(target, other_name, found.ratio)


def table_of(standings: Sequence[Standing]) -> list[list[str]]:
    """A row for each."""
    rows = [["workload", "quantity", "of", "beside", "ratio", "95 % interval", "target", ""]]
    for each in standings:
        target, ratio = each.target, each.ratio
        rows.append([
            target.workload, target.metric.name, target.subject, each.divisor,
            "-" if ratio is None else f"{ratio.ratio:.2f}",
            "-" if ratio is None else f"{ratio.low:.2f} to {ratio.high:.2f}",
            target.needed, each.word,
        ])
    return rows


def beside_the_floor(record: ResultSet) -> list[list[str]]:
    """A row for each workload: what the better of the floors reached, and the others beside it."""
    cells = by_cell(record.slices)
    names = [each.name for each in record.manifest.subjects if each.name not in FLOORS]
    rows = [["", "floor", *names]]
    for workload in record.manifest.workloads:
        floor = best(FLOORS, workload.name, THROUGHPUT, cells)
        value = typical(THROUGHPUT, cells.get((workload.name, floor), []))
        row = [workload.name, "-" if value is None else THROUGHPUT.text(value)]
        for name in names:
            own = cells.get((workload.name, name), [])
            pair = (floor, cells.get((workload.name, floor), [])), (name, own)
            found = next(each for each in compare(workload, *pair) if each.metric == THROUGHPUT)
            row.append(
                found.words if found.ratio is None
                else f"{found.ratio.ratio:.2f} ({found.ratio.low:.2f} to {found.ratio.high:.2f})"
            )
        rows.append(row)
    return rows


def best(names: Sequence[str], workload: str, metric: Metric, cells: Cells) -> str:
    """Whose median is the best under this workload; where none has one, the first."""
    values = {name: typical(metric, cells.get((workload, name), [])) for name in names}
    known = {name: value for name, value in values.items() if value is not None}
    pick = max if metric.higher_is_better else min
    return pick(known, key=known.__getitem__) if known else names[0]


def _between(
    below: tuple[Metric, Sequence[Slice]], above: tuple[Metric, Sequence[Slice]]
) -> PairedRatio | None:
    """Paired over the blocks in which both hold."""
    values: list[dict[int, float]] = []
    for metric, slices in (below, above):
        held = {each.block: metric.of(each) for each in slices if Verdict.of(each).holds}
        values.append({block: value for block, value in held.items() if value})
    blocks = sorted(values[0].keys() & values[1].keys())
    return paired_ratio([values[0][block] for block in blocks],
                        [values[1][block] for block in blocks])
