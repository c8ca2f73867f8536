"""The figures of a report: which there are for these results, and how each is filled."""

import math
import re
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from echobench import hdr
from echobench.comparison import by_cell
from echobench.drawing import draw, few_log_ticks, in_units, legend, legend_height_in
from echobench.illustration import PAPER, Illustration
from echobench.loadgen_result import METRICS, P99, THROUGHPUT, Metric, Verdict
from echobench.measure import Slice
from echobench.palette import Look, looks
from echobench.plan import DEFAULTS, Workload
from echobench.quantity import duration, rate
from echobench.quantity import size as size_text
from echobench.result_set import ResultSet, parse_time
from echobench.spread import typical_of

P50 = next(each for each in METRICS if each.key == "p50")
NINES = (0.0, 0.9, 0.99, 0.999, 0.9999, 0.99999)

# What a sweep goes over, in the order of the report, and its axis.
SWEEPS = {
    "connections": "connections",
    "hops": "length of the chain, hops",
    "message_size": "message size",
    "pipeline": "messages outstanding on a connection",
}


Cells = dict[tuple[str, str], list[Slice]]


class Figures:
    """Draws what one result set supports."""

    def __init__(self, results: ResultSet) -> None:
        self._results = results
        self._workloads = results.manifest.workloads
        self._cells: Cells = by_cell(each for each in results.slices if each.result is not None)
        self._names = [
            each.name for each in results.manifest.subjects
            if any(subject == each.name for _, subject in self._cells)
        ]
        self._taken: dict[str, int] = {}
        self._looks = looks([each.name for each in results.manifest.subjects])

    def all(self) -> list[Illustration]:
        """Every figure, in the order in which a report shows them."""
        if not self._names:
            return []
        closed = [each for each in self._workloads if not each.open_loop]
        made = [self._throughput(closed)] if closed else []
        for key, label in SWEEPS.items():
            for group in _sweeps(closed, key):
                made.append(self._sweep(key, label, group, [THROUGHPUT, P99]))
        for group in _sweeps([each for each in self._workloads if each.open_loop], "rate"):
            made.append(self._sweep("rate", "offered load, messages per second", group, [P50, P99]))
        made += [each for each in map(self._percentiles, self._workloads) if each is not None]
        made += [self._over_time(each) for each in self._workloads if self._any(each)]
        return made

    def _of(self, workload: Workload, subject: str) -> list[Slice]:
        return self._cells.get((workload.name, subject), [])

    def _any(self, workload: Workload) -> bool:
        return any(self._of(workload, name) for name in self._names)

    def _throughput(self, workloads: Sequence[Workload]) -> Illustration:
        shown = [each for each in workloads if self._any(each)]
        rows = len(self._names)

        def fill(figure: Figure) -> None:
            panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
            for axes, workload in zip(panels, shown):
                self._throughput_panel(axes, workload)
            panels[-1].set_xlabel("throughput, messages per second")

        return self._made(
            "throughput", fill, 0.55 + len(shown) * (0.5 + 0.19 * rows),
            "Throughput. Each small mark is one slice; the large one is their median with its 95 % "
            "interval. Hollow marks are slices that do not hold.",
        )

    def _throughput_panel(self, axes: Axes, workload: Workload) -> None:
        axes.set_title(workload.name, loc="left")
        for row, name in enumerate(self._names):
            look, slices = self._looks[name], self._of(workload, name)
            for each in slices:
                value = THROUGHPUT.of(each)
                if value is not None:
                    _mark(axes, value, row + 0.22, look, Verdict.of(each).holds)
            values = _known(THROUGHPUT, slices)
            if values:
                typical = typical_of(values)
                if typical.low is not None and typical.high is not None:
                    axes.plot([typical.low, typical.high], [row, row], color=look.colour,
                              linewidth=2.2, solid_capstyle="butt")
                axes.plot([typical.value], [row], color=look.colour, marker=look.marker,
                          markersize=5.5)
        axes.set_yticks(range(len(self._names)), self._names)
        axes.set_ylim(len(self._names) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.grid(axis="y", visible=False)
        in_units(axes.xaxis, _rate_tick)

    def _sweep(
        self, key: str, label: str, group: Sequence[Workload], metrics: Sequence[Metric]
    ) -> Illustration:
        fixed = _fixed(group, key)

        def fill(figure: Figure) -> None:
            panels = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
            for axes, metric in zip(panels, metrics):
                drawn = [
                    value for name in self._names
                    for value in self._line(axes, key, group, metric, name)
                ]
                axes.set_ylabel(metric.name)
                if drawn and metric.higher_is_better:
                    axes.set_ylim(bottom=0)
                elif drawn:
                    few_log_ticks(axes, drawn)
                in_units(axes.yaxis, _rate_tick if metric.higher_is_better else _duration_tick)
            _sweep_axis(panels[-1], key, [each.keys[key] for each in group])
            panels[-1].set_xlabel(label)
            legend(figure, self._looks, self._names)

        what = " and ".join(each.name for each in metrics)
        beside = f" ({fixed})" if fixed else ""
        return self._made(
            f"over-{_slug(key + ' ' + fixed if fixed else key)}", fill,
            1.95 * len(metrics) + 0.5 + legend_height_in(self._names),
            f"{what[0].upper()}{what[1:]} over {label}{beside}: medians with 95 % intervals. "
            "Hollow marks: slices among them do not hold"
            + (", as where the asked rate was not reached." if key == "rate" else "."),
        )

    def _line(
        self, axes: Axes, key: str, group: Sequence[Workload], metric: Metric, name: str
    ) -> list[float]:
        """Draws one subject's, a little to the side, so that no interval hides another's; the
        values, for the axis."""
        look, points = self._looks[name], []
        span = math.log(group[-1].keys[key] / group[0].keys[key])
        place = self._names.index(name) - (len(self._names) - 1) / 2
        aside = math.exp(place * min(0.012, 0.05 / len(self._names)) * span)
        for workload in group:
            slices = self._of(workload, name)
            values = _known(metric, slices) or _known(metric, slices, holding=False)
            if values:
                holds = all(Verdict.of(each).holds for each in slices)
                points.append((workload.keys[key] * aside, typical_of(values), holds))
        points.sort(key=lambda point: point[0])
        axes.plot([x for x, _, _ in points], [each.value for _, each, _ in points],
                  color=look.colour, linestyle=look.dash)
        for x, typical, holds in points:
            if typical.low is not None and typical.high is not None:
                axes.plot([x, x], [typical.low, typical.high], color=look.colour, linewidth=1)
            axes.plot([x], [typical.value], color=look.colour, marker=look.marker,
                      markerfacecolor=look.colour if holds else PAPER)
        return [each.value for _, each, _ in points]

    def _percentiles(self, workload: Workload) -> Illustration | None:
        curves = {}
        for name in self._names:
            slices = [each for each in self._of(workload, name) if Verdict.of(each).holds]
            curve = hdr.merged(_histogram(each) for each in slices).curve()
            if curve:
                curves[name] = curve
        if not curves:
            return None

        def fill(figure: Figure) -> None:
            axes = figure.subplots()
            for name, curve in curves.items():
                x, y = _hdr_steps(curve)
                axes.plot(x, y, color=self._looks[name].colour, linestyle=self._looks[name].dash)
            few_log_ticks(axes, [max(value, 1) for curve in curves.values() for _, value in curve])
            in_units(axes.yaxis, _duration_tick)
            axes.set_title(workload.name, loc="left")
            axes.set_ylabel("latency")
            axes.set_xlabel("percentile")
            last = max(_hdr_x(curve[-1][0]) for curve in curves.values())
            nines = [each for each in NINES if _hdr_x(each) <= last]
            axes.set_xticks([_hdr_x(each) for each in nines], [_percent(each) for each in nines])
            axes.set_xlim(0, last)
            legend(figure, self._looks, list(curves))

        return self._made(
            f"percentiles-{_slug(workload.name)}", fill, 2.9 + legend_height_in(list(curves)),
            f"Latency by percentile under {workload.name}: all samples of all slices that hold, "
            "added up. Each step to the right is ten times rarer; a curve ends where fewer than "
            "ten samples are left.",
        )

    def _over_time(self, workload: Workload) -> Illustration:
        times = [parse_time(each.started_at) for each in self._results.slices]
        start = min(times)
        unit, unit_s = _unit_of_time((max(times) - start).total_seconds())

        def fill(figure: Figure) -> None:
            axes = figure.subplots()
            for name in self._names:
                for each in self._of(workload, name):
                    began_s = (parse_time(each.started_at) - start).total_seconds()
                    for t_s, per_s in _intervals(each):
                        _mark(axes, (began_s + t_s) / unit_s, per_s, self._looks[name],
                              Verdict.of(each).holds, size=3.2)
            axes.set_ylim(bottom=0)
            axes.set_title(workload.name, loc="left")
            axes.set_xlim(left=0)
            axes.set_xlabel(f"{unit} since the experiment began")
            axes.set_ylabel("throughput")
            in_units(axes.yaxis, _rate_tick)
            legend(figure, self._looks, self._names)

        return self._made(
            f"time-{_slug(workload.name)}", fill, 2.5 + legend_height_in(self._names),
            f"Throughput over the time of the experiment under {workload.name}: a mark for each "
            "interval of each slice. What all subjects do together, the machine did.",
        )

    def _made(
        self, name: str, fill: Callable[[Figure], None], height_in: float, caption: str
    ) -> Illustration:
        """Under a name of its own: two workloads may have names that make one file name."""
        self._taken[name] = self._taken.get(name, 0) + 1
        if self._taken[name] > 1:
            name = f"{name}-{self._taken[name]}"
        return draw(name, caption, height_in, fill)


def _sweeps(workloads: Sequence[Workload], key: str) -> list[list[Workload]]:
    """The groups that differ in this key only, and take two values of it at least."""
    groups: dict[str, list[Workload]] = {}
    for each in workloads:
        rest: dict[str, float] = {**DEFAULTS, **each.keys, key: 0}
        same = f"{sorted(rest.items())} {each.client_options}"
        if key in each.keys:
            groups.setdefault(same, []).append(each)
    return [
        sorted(group, key=lambda each: each.keys[key])
        for group in groups.values()
        if len({each.keys[key] for each in group}) > 1
    ]


def _fixed(group: Sequence[Workload], key: str) -> str:
    """What is the same in the group, in words, where it is not what it always is."""
    full = {**DEFAULTS, **group[0].keys}
    words = []
    if key != "connections":
        words.append(f"{full['connections']:g} connection" + "s" * (full["connections"] != 1))
    if key != "message_size" and full["message_size"] != 64:
        words.append(f"{full['message_size']:g} B")
    if key != "pipeline" and full["pipeline"] != 1:
        words.append(f"pipeline {full['pipeline']:g}")
    if key != "hops" and "hops" in full:
        words.append(f"{full['hops']:g} hops")
    return ", ".join(words + group[0].client_options)


def _sweep_axis(axes: Axes, key: str, values: Sequence[float]) -> None:
    """Logarithmic where the values go over more than a decade, with a tick at each."""
    ticks = sorted(set(values))
    if ticks[-1] >= 10 * ticks[0] > 0:
        axes.set_xscale("log")
        axes.margins(x=0.06)
    if len(ticks) > 9:
        ticks = ticks[:: math.ceil(len(ticks) / 9)]
    axes.set_xticks(ticks, _tick_texts(key, ticks))
    axes.minorticks_off()


def _tick_texts(key: str, ticks: Sequence[float]) -> list[str]:
    """None for a tick so near the last one that the two texts would touch."""
    span = math.log(ticks[-1] / ticks[0])
    texts: list[str] = []
    written = 0.0
    for tick in ticks:
        text, place = _tick_of(key, tick), math.log(tick / ticks[0]) / span
        fits = not texts or place - written >= 0.02 * len(text)
        texts.append(text if fits else "")
        written = place if fits else written
    return texts


def _tick_of(key: str, value: float) -> str:
    if key == "rate":
        return _rate_tick(value)
    return _short(size_text(value)) if key == "message_size" else f"{value:g}"


def _known(metric: Metric, slices: Sequence[Slice], holding: bool = True) -> list[float]:
    values = [metric.of(each) for each in slices if Verdict.of(each).holds or not holding]
    return [value for value in values if value is not None]


def _mark(
    axes: Axes, x: float, y: float, look: Look, holds: bool, size: float = 2.6
) -> None:
    axes.plot([x], [y], color=look.colour, marker=look.marker, markersize=size, alpha=0.75,
              linestyle="none", markerfacecolor=look.colour if holds else "none",
              markeredgewidth=0.6)


def _unit_of_time(span_s: float) -> tuple[str, float]:
    return ("minutes", 60.0) if span_s > 150 else ("seconds", 1.0)


def _histogram(measured: Slice) -> hdr.Histogram:
    assert measured.result is not None
    return hdr.decode(measured.result["histograms"]["latency"])


def _intervals(measured: Slice) -> list[tuple[float, float]]:
    """(seconds into the slice, messages per second) for each interval; a last one that is too short
    to say anything is left to the others."""
    assert measured.result is not None
    rows = [(float(each["t_s"]), int(each["messages"])) for each in measured.result["intervals"]]
    lengths = [t_s - before for (t_s, _), (before, _) in zip(rows, [(0.0, 0), *rows])]
    longest = max(lengths, default=0.0)
    return [
        (t_s, messages / length)
        for (t_s, messages), length in zip(rows, lengths)
        if length > 0.15 * longest
    ]


def _hdr_x(quantile: float) -> float:
    """HdrHistogram's axis: 0.9 at 1, 0.99 at 2, 0.999 at 3."""
    return -math.log10(1 - quantile)


def _hdr_steps(curve: Sequence[tuple[float, int]]) -> tuple[list[float], list[float]]:
    """Points for a line, at most some hundred: more than the eye tells apart make files big."""
    x: list[float] = []
    y: list[float] = []
    last = _hdr_x(curve[-1][0])
    for quantile, value in [(0.0, curve[0][1]), *curve]:
        here = _hdr_x(quantile)
        if not x or here - x[-1] > last / 300 or quantile == curve[-1][0]:
            x.append(here)
            y.append(max(value, 1))
    return x, y


def _percent(quantile: float) -> str:
    return f"{100 * quantile:.6g} %"


def _rate_tick(value: float) -> str:
    return "0" if value == 0 else _short(rate(value)).replace("/s", "").strip()


def _duration_tick(value: float) -> str:
    return _short(duration(value)) if value > 0 else "0"


def _short(text: str) -> str:
    """ "20.0 µs" as "20 µs": ticks are round."""
    number, _, unit = text.partition(" ")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {unit}"


def _slug(name: str) -> str:
    """A file name that no name can leave its folder with."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
