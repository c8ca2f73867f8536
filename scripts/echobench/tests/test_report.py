"""The report: the same bytes each time, nothing from outside, every figure that there can be."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from echobench import illustration, report
from echobench.palette import looks
from echobench.plan import Workload, sweep
from echobench.presets import PRESETS
from echobench.spread import typical_of
from echobench.tests.sample import manifest_of, simulated, slice_of, write

pytest.importorskip("matplotlib")


def built(folder: Path, out: Path) -> dict[str, bytes]:
    report.build(folder, out)
    return {str(path.relative_to(out)): path.read_bytes()
            for path in sorted(out.rglob("*")) if path.is_file()}


def with_everything() -> list[Workload]:
    return [
        *sweep({"connections": [1, 100]}),
        *sweep({"connections": [5], "rate": [1000, 20000]}),
        *sweep({"hops": [1, 4]}),
    ]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("report")
    folder = write(directory / "set", *simulated(with_everything(), {"a": 1.0, "epoll": 1.2}))
    first = built(folder, directory / "one")
    assert built(folder, directory / "other") == first
    return first


def test_every_figure_comes_in_three_forms(pages: dict[str, bytes]) -> None:
    figures = {name.rpartition(".")[0] for name in pages if name.startswith("figures/")}
    assert figures == {"figures/" + name for name in [
        "throughput", "over-connections", "over-rate-5-connections", "over-hops-1-connection",
        *(f"{kind}-{load}" for kind in ("percentiles", "time") for load in (
            "1-connection", "100-connections", "5-connections-1-k-per-s",
            "5-connections-20-k-per-s", "1-hop-1-connection", "4-hops-1-connection")),
    ]}
    for name in figures:
        assert pages[f"{name}.png"].startswith(b"\x89PNG")
        assert pages[f"{name}.pdf"].startswith(b"%PDF")
        ElementTree.fromstring(pages[f"{name}.svg"])


def test_nothing_says_when_it_was_built(pages: dict[str, bytes]) -> None:
    for name, content in pages.items():
        if name.startswith("figures/"):
            assert b"CreationDate" not in content and b"dc:date" not in content, name
            assert b"atplotlib v" not in content, name


def test_the_page_needs_nothing_from_outside(pages: dict[str, bytes]) -> None:
    page = pages["report.html"].decode()
    assert not re.search(r"""(src|href|action)\s*=\s*["'](?!#|data:)""", page)
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page and "<script" not in page
    identifiers = re.findall(r'<clipPath id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_figures_in_the_page_follow_its_colours(pages: dict[str, bytes]) -> None:
    page = pages["report.html"].decode()
    body = page[page.index("<body>"):]
    for colour in (illustration.INK, illustration.FAINT, illustration.PAPER):
        assert colour not in body
    assert not re.search(r"(?:fill|stroke): #(?:000000|ffffff)\b", body)


def test_what_the_page_tells(pages: dict[str, bytes]) -> None:
    page = pages["report.html"].decode()
    for text in ("epoll: Faster than a under 1 connection", "scripts/experiment --seed=1",
                 "Server on CPU 0, load generator on CPU 1.", "the loop is open".capitalize(),
                 "96 slices: 96 valid", "AMD EPYC"):
        assert text in page, text
    markdown = pages["report.md"].decode()
    for name in re.findall(r"\]\((figures/[^)]+)\)", markdown):
        assert name in pages
    assert pages["tables/overview.tex"].startswith(b"\\begin{tabular}{lllrrrrrr}")
    assert pages["tables/comparison.csv"].count(b"\n") == 1 + 6 * 7


def test_names_that_make_one_file_name_make_two(tmp_path: Path) -> None:
    loads = [Workload({"connections": 1}, name="a b"), Workload({"connections": 1}, name="a, b")]
    pages = built(write(tmp_path / "set", *simulated(loads, {"x": 1.0})), tmp_path / "out")
    assert "figures/percentiles-a-b.svg" in pages and "figures/percentiles-a-b-2.svg" in pages


def test_one_subject_alone_and_a_single_slice(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", manifest_of(["a"]), [slice_of("a", 0, 1e5)])
    page = built(folder, tmp_path / "out")["report.html"].decode()
    assert "Every comparison" not in page and "100 k/s" in page


def test_slices_that_do_not_hold_are_shown_as_such(tmp_path: Path) -> None:
    manifest, slices = simulated(sweep({"connections": [5], "rate": [1000, 9000]}), {"a": 1.0})
    slices = [slice_of(each.subject, each.block, 5e3, each.workload, rate=9000.0,
                       status="invalid", code="rate_not_reached")
              if "9 k" in each.workload else each for each in slices]
    pages = built(write(tmp_path / "set", manifest, slices), tmp_path / "out")
    assert "invalid a, rate_not_reached, 8 x" in pages["report.html"].decode()
    assert "figures/over-rate-5-connections.svg" in pages
    assert "figures/percentiles-5-connections-9-k-per-s.svg" not in pages


def test_without_matplotlib_there_are_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "echobench.figures", None)
    folder = write(tmp_path / "set", *simulated(sweep({"connections": [5]}), {"a": 1, "b": 1}))
    pages = built(folder, tmp_path / "out")
    assert report.NO_FIGURES in pages["report.md"].decode()
    assert not any(name.startswith("figures/") for name in pages)


def test_a_subject_looks_the_same_beside_others_and_like_no_other() -> None:
    field = [each.name for each in PRESETS["field"](Path(), Path("bin"), False).subjects]
    all_looks = looks(field)
    for name in field:
        assert looks([name, "stranger"])[name] == all_looks[name]
    many = looks([*field, *map(str, range(15))])
    assert len({(each.colour, each.marker, each.dash) for each in many.values()}) == len(many)
    assert len({each.marker for each in all_looks.values()}) == len(field)


def test_the_median_s_interval_is_the_tabled_one() -> None:
    """Order statistics for a 95 % interval of the median, as tables of the sign test have them."""
    for count, rank in ((6, 0), (8, 0), (9, 1), (12, 2), (15, 3), (20, 5), (25, 7)):
        typical = typical_of(range(count))
        assert (typical.low, typical.high) == (rank, count - 1 - rank)
    assert typical_of([3, 1, 2]) == typical_of([1, 2, 3])
    assert (typical_of([1, 2]).value, typical_of([1, 2]).low) == (1.5, None)


@pytest.mark.parametrize("key, value, text", [
    ("message_size", 1, "1 B"), ("message_size", 16384, "16 KiB"),
    ("message_size", 1 << 20, "1 MiB"), ("connections", 19000, "19000"),
    ("rate", 20000, "20 k"),
])
def test_ticks_are_what_people_write(key: str, value: float, text: str) -> None:
    figures = pytest.importorskip("echobench.figures")
    assert figures._tick_of(key, value) == text


def test_ticks_that_would_touch_are_bare() -> None:
    figures = pytest.importorskip("echobench.figures")
    sizes = [1, 1024, 16384, 65536, 1 << 20]
    assert figures._tick_texts("message_size", sizes) == ["1 B", "1 KiB", "16 KiB", "", "1 MiB"]
    assert figures._tick_texts("connections", [1, 10, 50, 100, 19000]) == [
        "1", "10", "50", "100", "19000"]
