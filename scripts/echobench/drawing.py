"""How figures are drawn and saved: one style, and the same bytes whenever and wherever.

Whatever would differ from run to run is set: the salt of SVG's ids, dates, names of programs.
Text is drawn as outlines, so that a figure looks the same without its font. The layout is "tight"
and not "constrained", whose solver goes by addresses in memory: its last digits vary.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from echobench.illustration import FAINT, INK, PAPER, Illustration
from echobench.palette import Look

WIDTH_IN = 4.8  # at 1.4 times that it fits a page, at 0.7 a phone

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "legend.frameon": False,
}


def draw(
    name: str, caption: str, height_in: float, fill: Callable[[Figure], None]
) -> Illustration:
    """A figure of the usual width; `name` keeps its ids apart from those of others on one page."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="tight")
        fill(figure)
        return Illustration(
            name,
            caption,
            _saved(figure, "svg", {"Date": None, "Creator": "echobench"}),
            _saved(figure, "png", {"Software": None}),
            _saved(figure, "pdf", {"CreationDate": None, "Creator": None, "Producer": None}),
        )


def _saved(figure: Figure, form: str, metadata: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=form, metadata=metadata, dpi=200)
    return out.getvalue()


def legend(figure: Figure, looks: dict[str, Look], names: Sequence[str]) -> None:
    """Below everything, so that it never lies on a curve."""
    handles = [
        Line2D([], [], color=looks[name].colour, marker=looks[name].marker,
               linestyle=looks[name].dash, label=name)
        for name in names
    ]
    share = legend_height_in(names) / figure.get_figheight()
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, share, 1, 1))
    figure.legend(handles=handles, loc="lower center", ncols=_columns(names))


def legend_height_in(names: Sequence[str]) -> float:
    """What a figure has to be higher for it."""
    return 0.12 + 0.18 * -(-len(names) // _columns(names))


def _columns(names: Sequence[str]) -> int:
    longest = max(map(len, names))
    return max(1, min(len(names), 4 if longest <= 12 else 2 if longest <= 28 else 1))


def in_units(axis: Any, text: Callable[[float], str]) -> None:
    """Ticks with units, and no numbers at the small ones."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axis.set_minor_formatter(NullFormatter())


def few_log_ticks(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis; where it covers little more than a decade, ticks between too."""
    axes.set_yscale("log")
    decades = max(values) / max(min(values), 1e-9)
    subs = (1.0,) if decades > 300 else (1.0, 3.0) if decades > 30 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
