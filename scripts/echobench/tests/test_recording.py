"""The picture of a terminal session: what was shown, when, and that README's is of its record."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("pyte", reason="python3-pyte is not installed")

from echobench.terminal_svg import HOLD_S, drawn  # noqa: E402

FOLDER = Path(__file__).resolve().parents[3] / "results/recording"


def cast(*events: tuple[float, str]) -> str:
    head = {"version": 2, "width": 40, "height": 5, "title": "a < b"}
    return "\n".join(json.dumps(each) for each in [head, *[[at, "o", text] for at, text in events]])


def texts(svg: str) -> list[tuple[str, str]]:
    """What is written, and what is animated of it."""
    return re.findall(r"<text [^>]*>(<set [^>]*/>)(.*?)</text>", svg)


def test_a_line_is_shown_for_as_long_as_it_stood_there() -> None:
    svg = drawn(cast((1.0, "one"), (2.5, "\r\x1b[Ktwo"), (3.0, "\r\n")))
    (one, first), (two, last) = texts(svg)
    assert (first, last) == ("one", "two")
    assert 'to="visible"' in one and 'begin="loop.begin+1.000s" dur="1.500s"' in one
    assert 'to="hidden"' in two and 'begin="loop.begin" dur="2.500s"' in two
    assert f'dur="{3 + HOLD_S:.3f}s"' in svg


def test_text_is_text_and_colours_are_kept() -> None:
    svg = drawn(cast((0.1, "a<b> & \x1b[31mred\x1b[0m")))
    assert "a&lt;b&gt; &amp; <tspan fill=" in svg and ">red</tspan>" in svg
    assert "<title>a &lt; b</title>" in svg


def test_the_picture_is_of_the_record() -> None:
    assert drawn((FOLDER / "run.cast").read_text()) == (FOLDER / "run.svg").read_text()
