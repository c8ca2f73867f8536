"""A recorded terminal session as an animated picture that needs no player: SVG with SMIL.

A line of the screen is drawn once for each text that it has held, and shown while it held it. Where
nothing is animated, the picture is that of the end.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import pyte

CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 18.0, 14.0
HOLD_S = 6.0  # at the end, before it begins again
COLOURS = {"default": "#d8dee9", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341",
           "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": "#f0f6fc"}
STYLE = (f"text{{font:14px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;"
         f"fill:{COLOURS['default']};white-space:pre}}")

Run = tuple[str, str, bool]  # text, colour, bold
Line = tuple[Run, ...]


@dataclass(frozen=True)
class Held:
    """A line of the screen, and when it was there: up to `until`, or to the end."""

    row: int
    line: Line
    since: float
    until: float | None


def drawn(cast: str) -> str:
    """The picture of an asciicast, version 2."""
    head, *rest = [json.loads(line) for line in cast.splitlines()]
    events = [(at, text) for at, kind, text in rest if kind == "o"]
    held = list(_held(head["width"], head["height"], events))
    rows = 1 + max((each.row for each in held if each.until is None), default=0)
    width = 2 * MARGIN + CELL_WIDTH * head["width"]
    height = 2 * MARGIN + CELL_HEIGHT * rows
    length = (events[-1][0] if events else 0) + HOLD_S
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img">',
        f"<title>{escape(head['title'])}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="100%" height="100%" rx="8" fill="#161b22">'
        f'<animate id="loop" attributeName="x" from="0" to="0" begin="0s;loop.end" '
        f'dur="{length:.3f}s"/></rect>',
        *[_element(each) for each in held if each.row < rows],
        "</svg>\n",
    ])


def _held(width: int, height: int, events: list[tuple[float, str]]) -> Iterator[Held]:
    screen = pyte.Screen(width, height)
    stream = pyte.Stream(screen)
    current: dict[int, tuple[Line, float]] = {}
    for at, text in events:
        stream.feed(text)
        for row in sorted(screen.dirty):
            line = _line(screen, row, width)
            before, since = current.get(row, ((), 0.0))
            if line != before:
                if before:
                    yield Held(row, before, since, at)
                current[row] = (line, at)
        screen.dirty.clear()
    for row, (line, since) in sorted(current.items()):
        if line:
            yield Held(row, line, since, None)


def _line(screen: pyte.Screen, row: int, width: int) -> Line:
    runs: list[Run] = []
    cells = screen.buffer[row]
    for column in range(width):
        cell = cells[column]
        if runs and runs[-1][1:] == (cell.fg, cell.bold):
            runs[-1] = (runs[-1][0] + cell.data, cell.fg, cell.bold)
        else:
            runs.append((cell.data, cell.fg, cell.bold))
    while runs and not runs[-1][0].strip():
        runs.pop()
    if runs:
        runs[-1] = (runs[-1][0].rstrip(), *runs[-1][1:])
    return tuple(runs)


def _element(held: Held) -> str:
    y = MARGIN + CELL_HEIGHT * (held.row + 0.75)
    if held.until is None:
        shown = ('<set attributeName="visibility" to="hidden" begin="loop.begin" '
                 f'dur="{max(held.since, 0.001):.3f}s"/>')
        attribute = ""
    else:
        shown = ('<set attributeName="visibility" to="visible" '
                 f'begin="loop.begin+{held.since:.3f}s" dur="{held.until - held.since:.3f}s"/>')
        attribute = ' visibility="hidden"'
    return (f'<text x="{MARGIN:g}" y="{y:g}"{attribute}>{shown}'
            f'{"".join(_span(run) for run in held.line)}</text>')


def _span(run: Run) -> str:
    text, colour, bold = run
    style = ""
    if colour != "default":
        style += f' fill="{COLOURS.get(colour, COLOURS["default"])}"'
    if bold:
        style += ' font-weight="bold"'
    return f"<tspan{style}>{escape(text)}</tspan>" if style else escape(text)
