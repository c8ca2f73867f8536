"""A report as a list of parts, and its forms: Markdown, and one HTML page that needs nothing."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from echobench import table
from echobench.illustration import FAINT, INK, PAPER, Illustration


@dataclass(frozen=True)
class Heading:
    """Of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Plain words."""

    text: str


@dataclass(frozen=True)
class Listing:
    """Lines as they are typed or were printed."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows, of which the first `left` columns are words."""

    rows: table.Rows
    left: int


Part = Heading | Paragraph | Listing | Points | Table | Illustration

CSS = """
:root { --ink: #1b1f24; --faint: #8a9199; --paper: #ffffff; --soft: #f3f5f7; --link: #0a58a8;
  color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --faint: #7d858d; --paper: #14181d; --soft: #1e242b; --link: #7ab8f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 64rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--faint); }
p, li { max-width: 46rem; }
a { color: var(--link); }
pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; font-size: .85rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .85rem; line-height: 1.35; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th { border-bottom: 1px solid var(--ink); white-space: normal; vertical-align: bottom; }
td { border-bottom: 1px solid color-mix(in srgb, var(--faint) 35%, transparent); }
.word { text-align: left; }
th.group { padding-top: .9rem; border-bottom-color: var(--faint); }
figure { margin: 1.2rem 0; max-width: 40rem; break-inside: avoid; }
figure svg { width: 100%; height: auto; display: block; }
figcaption { font-size: .85rem; color: var(--ink); opacity: .8; }
@media (max-width: 30rem) { th, td { padding: .2rem .35rem; }
  ul { padding-left: 1.2rem; } }
@media print {
  :root { --ink: #000; --faint: #777; --paper: #fff; --soft: #f3f5f7; --link: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  table { font-size: 7.5pt; } th, td { padding: .12rem .35rem; } .word { white-space: normal; }
  tr { break-inside: avoid; } thead { display: table-header-group; }
  tr:has(.group) { break-after: avoid; }
  figure { max-width: 13cm; }
  figure svg { max-height: 21cm; } h2 { break-after: avoid; } .wide { overflow: visible; }
}
"""


def to_markdown(title: str, parts: Sequence[Part]) -> str:
    """For a repository: figures are files beside it."""
    return "\n\n".join([f"# {_md(title)}", *map(_markdown_of, parts)]) + "\n"


def to_html(title: str, parts: Sequence[Part]) -> str:
    """One file that opens anywhere: no script, no font, no picture from outside."""
    body = "\n".join(map(_html_of, parts))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{_h(title)}</title>\n<style>{CSS}</style>\n'
        f"</head>\n<body>\n<h1>{_h(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _markdown_of(part: Part) -> str:
    if isinstance(part, Heading):
        return f"## {_md(part.text)}"
    if isinstance(part, Paragraph):
        return _md(part.text)
    if isinstance(part, Listing):
        return "\n".join(f"    {line}" for line in part.text.splitlines())
    if isinstance(part, Points):
        return "\n".join(f"- {_md(each)}" for each in part.items)
    if isinstance(part, Table):
        return table.markdown(part.rows, part.left)
    return f"![{_md(part.caption)}](figures/{part.name}.svg)\n\n*{_md(part.caption)}*"


def _html_of(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h2>{_h(part.text)}</h2>"
    if isinstance(part, Paragraph):
        return f"<p>{_h(part.text)}</p>"
    if isinstance(part, Listing):
        return f"<pre>{_h(part.text)}</pre>"
    if isinstance(part, Points):
        return "<ul>" + "".join(f"<li>{_h(each)}</li>" for each in part.items) + "</ul>"
    if isinstance(part, Table):
        return _html_table(part)
    return f"<figure>{_inline(part)}<figcaption>{_h(part.caption)}</figcaption></figure>"


def _html_table(part: Table) -> str:
    """What repeats from row to row in the first column stands above its rows, which are narrower
    so: a phone shows the next columns at once."""
    grouped = part.left > 2
    heading, *rows = part.rows
    shown = slice(1 if grouped else 0, None)
    left = part.left - (1 if grouped else 0)

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="word">{_h(cell)}</{tag}>' if column < left
            else f"<{tag}>{_h(cell)}</{tag}>"
            for column, cell in enumerate(cells)
        )

    lines = [f"<thead><tr>{line('th', heading[shown])}</tr></thead><tbody>"]
    before = None
    for row in rows:
        if grouped and row[0] != before:
            span = len(heading) - 1
            lines.append(f'<tr><th class="word group" colspan="{span}">{_h(row[0])}</th></tr>')
        lines.append(f"<tr>{line('td', row[shown])}</tr>")
        before = row[0]
    return '<div class="wide"><table>' + "\n".join(lines) + "</tbody></table></div>"


def _inline(figure: Illustration) -> str:
    """The SVG inside the page, where ink, grid and paper follow the page's colours."""
    svg = figure.svg.decode()
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for colour, name in ((INK, "ink"), (FAINT, "faint"), (PAPER, "paper")):
        svg = svg.replace(colour, f"var(--{name})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{_h(figure.caption)}" ', 1)


def _h(text: str) -> str:
    return html.escape(text, quote=True)


def _md(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text).replace("<", "&lt;")
