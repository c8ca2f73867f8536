"""What people read: quantities, the table, the line on the terminal, the closing sentence."""

import io

import pytest

from echobench.progress import Progress, progress_line
from echobench.quantity import duration, rate, size
from echobench.table import as_csv, latex, markdown, render


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ns"),
        (0.5, "0.500 ns"),
        (412, "412 ns"),
        (999.4, "999 ns"),
        (999.9, "1.00 µs"),
        (4_412_000, "4.41 ms"),
        (999_600_000, "1.00 s"),
        (61e9, "61.0 s"),
    ],
)
def test_durations(nanoseconds: float, text: str) -> None:
    assert duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0, "0 /s"), (7, "7.00 /s"), (980, "980 /s"), (112_345, "112 k/s"), (999_900, "1.00 M/s")],
)
def test_rates(per_second: float, text: str) -> None:
    assert rate(per_second) == text


@pytest.mark.parametrize(
    ("in_bytes", "text"),
    [(0, "0 B"), (12.4, "12 B"), (-5, "-5 B"), (7424, "7.25 KiB"), (1 << 20, "1.00 MiB")],
)
def test_sizes(in_bytes: float, text: str) -> None:
    assert size(in_bytes) == text


def test_a_table_aligns_its_columns() -> None:
    assert render([["", "a", "bb"], ["first", "1", "2"]]).splitlines() == [
        "       a  bb",
        "------------",
        "first  1   2",
    ]


def test_progress_shows_what_is_left() -> None:
    assert progress_line(7, 21, "block 2") == "[######..................] 21 s left  block 2"
    assert progress_line(60, 185, "") == "[#####...................] 3:05 min left  "
    assert progress_line(30, -2, "") == "[########################] 0 s left  "


def test_progress_is_silent_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    progress = Progress(stream, "who")
    progress.update("something", 10)
    progress.clear()
    assert stream.getvalue() == ""
    progress.say("something")
    assert stream.getvalue() == "who: something\n"


ROWS = [["what", "value"], ["a_b | c & d <i>", "1 %"], ["=1+1", "2 µs ±"]]


def test_markdown_keeps_every_character() -> None:
    assert markdown(ROWS).splitlines() == [
        "| what | value |",
        "| --- | --: |",
        "| a_b \\| c & d &lt;i> | 1 % |",
        "| =1+1 | 2 µs ± |",
    ]


def test_latex_is_booktabs_and_escaped() -> None:
    text = latex(ROWS)
    assert r"a\_b | c \& d \textless{}i\textgreater{} & 1 \% \\" in text
    assert text.startswith("\\begin{tabular}{lr}\n\\toprule\n")
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")


def test_csv_holds_no_formula() -> None:
    assert as_csv(ROWS).splitlines()[2] == "'=1+1,2 µs ±"
