"""A table, and the forms in which it leaves: plain text, Markdown, CSV, LaTeX.

The first row is the heading; columns of words stand to the left, columns of numbers to the right.
"""

import csv
import io
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]

LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "µ": r"\textmu{}", "±": r"$\pm$", "×": r"$\times$", "†": r"\textdagger{}", "–": "--",
    "<": r"\textless{}", ">": r"\textgreater{}",
}
MARKDOWN_SPECIAL = {"\\": "\\\\", "|": "\\|", "<": "&lt;", "*": "\\*", "`": "\\`", "\n": " "}


def render(rows: Rows, left: int = 1) -> str:
    """Plain text; the first `left` columns to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index >= left else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:]])


def markdown(rows: Rows, left: int = 1) -> str:
    """A pipe table."""
    escaped = [[_translated(cell, MARKDOWN_SPECIAL) for cell in row] for row in rows]
    rule = ["---" if index < left else "--:" for index in range(len(rows[0]))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [escaped[0], rule, *escaped[1:]])


def as_csv(rows: Rows) -> str:
    """RFC 4180, with plain line ends. A text that a spreadsheet would take for a formula gets an
    apostrophe, which is how spreadsheets themselves write such a text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        writer.writerow([f"'{cell}" if cell[:1] in "=@" and cell else cell for cell in row])
    return out.getvalue()


def latex(rows: Rows, left: int = 1) -> str:
    """A tabular for booktabs; \\usepackage{booktabs,textcomp} and a table around it are the
    document's."""
    escaped = [[_translated(cell, LATEX_SPECIAL) for cell in row] for row in rows]
    columns = "l" * left + "r" * (len(rows[0]) - left)
    body = [" & ".join(row) + r" \\" for row in escaped]
    return "\n".join(
        [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", body[0], r"\midrule", *body[1:],
         r"\bottomrule", r"\end{tabular}", ""]
    )


def _translated(text: str, special: dict[str, str]) -> str:
    return "".join(special.get(each, each) for each in text)
