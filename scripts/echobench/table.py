"""A table in plain text: the first column to the left, numbers to the right."""

from collections.abc import Sequence


def render(rows: Sequence[Sequence[str]]) -> str:
    """Lays the rows out under each other; the first row is the heading."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:]])
