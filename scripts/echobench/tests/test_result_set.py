"""Files that others wrote: read as they are, or refused in one line, whatever is in them."""

import contextlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from echobench import compare_command, report, result_set
from echobench.comparison import compare_all, judgement
from echobench.findings import for_people, overview
from echobench.plan import sweep
from echobench.result_set import BadResults
from echobench.tests.sample import ROOT, encoded, manifest_of, simulated, slice_of, write

MUTATIONS = 10_000
HISTOGRAM = encoded([0, 0, 20, 30, 15, 0, 0, 11])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two subjects, two blocks, small histograms."""
    manifest, slices = simulated(sweep({"connections": [1, 10]}), {"a": 1.0, "b": 1.1}, blocks=2)
    for each in slices:
        assert each.result is not None
        each.result["histograms"] = {"latency": HISTOGRAM, "service": HISTOGRAM}
        each.result["context"] = {
            key: value for key, value in each.result["context"].items()
            if key not in ("mitigations", "sysctls")
        }
    return write(tmp_path / "set", manifest, slices)


def said(command: Callable[[list[str]], int], *arguments: str) -> tuple[int, str]:
    """Exit status and what it says on stderr."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        status = command(list(arguments))
    return status, err.getvalue()


def test_what_was_recorded_is_read() -> None:
    found = result_set.read(ROOT / "results/quickstart")
    assert [each.name for each in found.manifest.subjects] == ["epoll", "io_uring"]
    assert len(found.slices) == 16


def test_what_is_written_is_read_back(folder: Path) -> None:
    found = result_set.read(folder)
    again = write(folder.parent / "again", found.manifest, found.slices)
    assert result_set.read(again).slices == found.slices
    assert result_set.read(again).manifest == found.manifest


Change = Callable[[Any], Any]


def _set(*path: Any, to: Any) -> Change:
    def change(value: Any) -> Any:
        inner = value
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = to
        return value

    return change


def _drop(*path: Any) -> Change:
    def change(value: Any) -> Any:
        inner = value
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return value

    return change


@pytest.mark.parametrize(("file", "change", "why"), [
    ("manifest.json", _set("schema_version", to=3), "reads 2"),
    ("manifest.json", _set("schema_version", to="2"), "no number"),
    ("manifest.json", _set("subjects", 0, "name", to="../../etc/passwd"), "a name has"),
    ("manifest.json", _set("subjects", 0, "name", to="a\x1b[31m"), "control characters"),
    ("manifest.json", _set("subjects", 0, "name", to="b"), "one name"),
    ("manifest.json", _set("workloads", 0, "name", to="a/b"), "a name has"),
    ("manifest.json", _set("workloads", 0, "keys", to={"../x": 1}), "no key"),
    ("manifest.json", _set("workloads", 0, "keys", to={"connections": 0}), "no size"),
    ("manifest.json", _set("baseline", to="c"), "is no subject"),
    ("manifest.json", _set("started_at", to="yesterday"), "no time"),
    ("manifest.json", _set("seed", to=-1), "no quantity"),
    ("manifest.json", _set("placement", to=None), "no object"),
    ("manifest.json", _drop("workloads"), "missing"),
    ("manifest.json", lambda _: [1, 2], "no object"),
    ("slices.jsonl", _set("subject", to="c"), "not in the manifest"),
    ("slices.jsonl", _set("workload", to="500 connections"), "not in the manifest"),
    ("slices.jsonl", _set("block", to=1.5), "no whole number"),
    ("slices.jsonl", _set("block", to=True), "no number"),
    ("slices.jsonl", _set("failure", to="it failed"), "either"),
    ("slices.jsonl", _set("result", to=None), "either"),
    ("slices.jsonl", _set("result", "schema_version", to=2), "reads 1"),
    ("slices.jsonl", _set("result", "throughput", "messages_per_s", to=-1), "no quantity"),
    ("slices.jsonl", _set("result", "throughput", "messages_per_s", to=1e300), "no quantity"),
    ("slices.jsonl", _set("result", "latency_ns", "p99", to="fast"), "no number"),
    ("slices.jsonl", _set("result", "histograms", "latency", to="AAAA"), "histograms.latency"),
    ("slices.jsonl", _set("result", "verdict", "status", to="splendid"), "none that is known"),
    ("slices.jsonl", _set("result", "config", "connections", to=0), "is 0"),
    ("slices.jsonl", _set("result", "context", "loadavg", to=[None]), "no number"),
    ("slices.jsonl", _drop("result", "cpu"), "missing"),
])
def test_what_is_wrong_is_named_in_one_line(
    folder: Path, file: str, change: Change, why: str
) -> None:
    path = folder / file
    lines = path.read_text().splitlines() if file == "slices.jsonl" else [path.read_text()]
    lines[0] = json.dumps(change(json.loads(lines[0])))
    path.write_text("\n".join(lines) + "\n")
    for command in (compare_command.main, report.main):
        status, err = said(command, str(folder))
        assert (status, err.count("\n")) == (2, 1), err
        assert file in err and why in err, err


@pytest.mark.parametrize(("text", "why"), [
    ("NaN", "no JSON number"), ("Infinity", "no JSON number"), ("1e400", "beyond every number"),
    ("9" * 5000, "beyond every count"), ("[" * 100_000, "deeply"), ('{"a":1,"a":2}', "twice"),
    ('"\\ud800"', "no Unicode"), ("", "no JSON"), ("{", "no JSON"), ("1 2", "no JSON"),
    ('{"schema_version": 1}', "is 1; this program reads 2"),
], ids=range(11))
def test_json_that_is_none_or_hostile(folder: Path, text: str, why: str) -> None:
    path = folder / "manifest.json"
    if not text.startswith("{"):
        text = path.read_text().replace('"A sample"', text) if text else ""
    path.write_text(text)
    status, err = said(report.main, str(folder))
    assert (status, err.count("\n")) == (2, 1), err
    assert why in err, err


def test_what_is_not_there_or_no_text(folder: Path, tmp_path: Path) -> None:
    assert said(report.main, str(tmp_path / "nowhere"))[0] == 2
    (folder / "slices.jsonl").write_bytes(b"\xff\xfe")
    status, err = said(report.main, str(folder))
    assert status == 2 and "no UTF-8 at byte 0" in err
    (folder / "slices.jsonl").unlink()
    (folder / "slices.jsonl").mkdir()
    assert said(report.main, str(folder))[0] == 2
    assert said(compare_command.main, "a\0b")[0] == 2


def test_one_slice_twice_is_refused(folder: Path) -> None:
    path = folder / "slices.jsonl"
    line = path.read_text().splitlines()[0]
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(BadResults, match="slices.jsonl:2: block 0, 1 connection, a was measured"):
        result_set.read(folder)


def test_a_name_never_leads_out_of_the_folder_or_into_the_page(tmp_path: Path) -> None:
    manifest = manifest_of(["a", "b"])
    slices = [slice_of("a", 0, 1e5, status="invalid", code="<script>alert(1)</script>")]
    slices += [slice_of("b", 0, 1e5)]
    folder = write(tmp_path / "set", manifest, slices)
    text = json.loads((folder / "manifest.json").read_text())
    text["title"] = "<img src=x onerror=alert(1)>"
    (folder / "manifest.json").write_text(json.dumps(text))
    report.build(folder)
    page = (folder / "report.html").read_text()
    assert "<script" not in page and "<img" not in page
    assert "<script" not in (folder / "report.md").read_text()


# ---- ten thousand mutations

HOSTILE = [
    "NaN", "-Infinity", "1e400", "-1", "0", "1e-400", "99999999999999999999999", "null", "true",
    '""', '"../../x"', '"\\u0000"', '"\\ud83d"', "[]", "{}", "[[[[]]]]", '{"a": 1, "a": 2}',
    '"' + "x" * 3000 + '"', "1e308", "0.1", '"2024-13-01T00:00:00Z"', "[null]", '[{"a": []}]',
]


def mutated(text: str, generator: random.Random) -> str:
    """A change of one to three places: bytes, or a value in the place of another."""
    for _ in range(generator.randint(1, 3)):
        kind, at = generator.randrange(6), generator.randrange(max(1, len(text)))
        end = min(len(text), at + generator.choice([1, 1, 2, 10, 200]))
        if kind == 0:
            text = text[:at] + generator.choice('\0\t\n",:[{}\xff\ud7ff') + text[at + 1:]
        elif kind == 1:
            text = text[:at] + text[end:]
        elif kind == 2:
            text = text[:end] + text[at:end] + text[end:]
        elif kind == 3 and generator.random() < 0.3:
            text = text[:at]
        else:
            text = _value_replaced(text, at, generator)
    return text


def _value_replaced(text: str, at: int, generator: random.Random) -> str:
    """Takes the next `"key": value`, where the value is no object, and puts another value there."""
    colon = text.find('": ', at)
    if colon < 0:
        return text
    start = colon + 3
    ends = [end for end in (text.find(mark, start) for mark in (",", "}", "\n")) if end > 0]
    return text[:start] + generator.choice(HOSTILE) + text[min(ends, default=len(text)):]


def test_ten_thousand_mutations_are_read_or_refused_and_never_fall_through(folder: Path) -> None:
    generator = random.Random(20)
    originals = {name: (folder / name).read_text() for name in ("manifest.json", "slices.jsonl")}
    originals["slices.jsonl"] = "".join(originals["slices.jsonl"].splitlines(keepends=True)[:2])
    read = refused = 0
    for _ in range(MUTATIONS):
        changed = generator.choice(list(originals))
        for name, text in originals.items():
            text = mutated(text, generator) if name == changed else text
            (folder / name).write_text(text, encoding="utf-8")
        try:
            found = result_set.read(folder)
        except BadResults as error:
            refused += 1
            assert "\n" not in str(error), str(error)
            continue
        read += 1
        findings = compare_all(found.manifest, found.slices)
        assert for_people(findings) and overview(found.manifest, found.slices, findings)
        judgement(found.slices)
        if read % 2000 == 0:
            with contextlib.suppress(BadResults):
                report.build(folder, folder.parent / "report")
    assert refused > MUTATIONS / 4 and read > MUTATIONS / 20, (read, refused)
