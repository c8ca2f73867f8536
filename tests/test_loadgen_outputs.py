"""What loadgen writes besides its JSON: the interval log that HdrHistogram's own programs read, and
the intervals as CSV. Decoded here by other code, both say what the JSON says."""

import csv
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from hdr_histogram import Histogram
from loadgen_fixtures import (ENGINES, Run, Server, check_result, loadgen, lying_server, one_line,
                              run)

TAGS = ["latency", "service"]


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    with lying_server("none") as one:
        yield one


class Outputs:
    """A run with all three outputs, and the log taken apart."""

    def __init__(self, directory: pathlib.Path, target: str, *arguments: object) -> None:
        self.hdr, self.csv = directory / "samples.hlog", directory / "intervals.csv"
        self.run = loadgen(target, f"--hdr={self.hdr}", f"--csv={self.csv}", *arguments)
        self.result: dict[str, Any] = self.run.result
        self.lines = self.hdr.read_text().splitlines()

    def logged(self, tag: str) -> list[tuple[float, float, float, Histogram]]:
        found = []
        for line in self.lines:
            if line.startswith(f"Tag={tag},"):
                start, length, largest, text = line.split(",")[1:]
                found.append((float(start), float(length), float(largest), Histogram(text)))
        return found


def total(histograms: list[Histogram]) -> list[int]:
    counts = [0] * max(len(one.counts) for one in histograms)
    for one in histograms:
        for index, count in enumerate(one.counts):
            counts[index] += count
    while counts and counts[-1] == 0:
        counts.pop()
    return counts


# --- The interval log -----------------------------------------------------------------------------


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_lines_of_a_tag_add_up_to_the_histogram(echo: Server, tmp_path: pathlib.Path,
                                                    engine: str, tag: str) -> None:
    outputs = Outputs(tmp_path, echo.address, f"--backend={engine}", "-c", 6, "-t", 2, "-p", 3,
                      "-d", "500ms", "-w", "50ms", "--interval=80ms")
    assert outputs.result["totals"]["errors"] == {}
    logged = outputs.logged(tag)
    assert len(logged) >= 7, "500 ms in pieces of 80 ms"
    whole = Histogram(outputs.result["histograms"][tag])
    assert total([histogram for *_, histogram in logged]) == total([whole])
    assert whole.count == outputs.result["totals"]["messages"] > 100


def test_a_reply_after_the_window_is_in_the_log(tmp_path: pathlib.Path) -> None:
    with lying_server("delay", delay=0.3) as slow:
        outputs = Outputs(tmp_path, slow.address, "-c", 5, "-d", "400ms", "--interval=200ms")
    logged = outputs.logged("latency")
    assert [histogram.count for *_, histogram in logged] == [0, 5, 5]
    assert [start for start, *_ in logged] == [0, 0.2, 0.4]
    assert 0.19 < logged[-1][1] < 2, "its line ends with the last reply"


def test_the_lines_follow_each_other(echo: Server, tmp_path: pathlib.Path) -> None:
    outputs = Outputs(tmp_path, echo.address, "-c", 2, "-d", "300ms", "--interval=100ms")
    lines = outputs.logged("latency")
    assert [(start, length) for start, length, *_ in lines][:3] == [
        (0, 0.1), (pytest.approx(0.1), 0.1), (pytest.approx(0.2), 0.1)]
    for _, _, largest, histogram in lines:
        assert largest == pytest.approx(histogram.percentile(1) / 1e6 if histogram.count else 0,
                                        abs=0.001), "milliseconds"


def test_the_log_begins_as_the_format_has_it(echo: Server, tmp_path: pathlib.Path) -> None:
    outputs = Outputs(tmp_path, echo.address, "-n", 10)
    comments = [line for line in outputs.lines if line.startswith("#")]
    assert "#[Histogram log format version 1.3]" in comments
    start, base = (float(found[1]) for name in ("StartTime", "BaseTime") for line in comments
                   if (found := re.match(rf"#\[{name}: ([0-9.]+) \(seconds since epoch\)", line)))
    assert start == base > 1.7e9
    legend = ('"StartTimestamp","Interval_Length","Interval_Max",'
              '"Interval_Compressed_Histogram"')
    assert outputs.lines[len(comments)] == legend
    assert all(line.startswith("Tag=") for line in outputs.lines[len(comments) + 1:])


def hdr_log_processor() -> list[str]:
    """HdrHistogram's own program, as Debian has it."""
    jar = pathlib.Path("/usr/share/java/hdrhistogram.jar")
    if shutil.which("java") is None or not jar.exists():
        pytest.skip("no java, or no HdrHistogram for it (libhdrhistogram-java) on this machine")
    return ["java", "-cp", str(jar), "org.HdrHistogram.HistogramLogProcessor"]


def processed(hdr: pathlib.Path, tag: str) -> list[tuple[float, float, int]]:
    """What HistogramLogProcessor finds: values, quantiles, samples that do not exceed them."""
    ended = subprocess.run([*hdr_log_processor(), "-i", str(hdr), "-tag", tag,
                            "-outputValueUnitRatio", "1", "-percentilesOutputTicksPerHalf", "200"],
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0 and "Total count" in ended.stdout, ended
    rows = re.findall(r"^ *([0-9.]+) +([0-9.]+) +([0-9]+)(?: +[0-9.]+)? *$", ended.stdout, re.M)
    return [(float(value), float(quantile), int(upto)) for value, quantile, upto in rows]


# A few microseconds, ten milliseconds, and many messages queued behind each other.
@pytest.mark.parametrize("fault,options,arguments", [
    ("none", {}, ["-c", 4, "-p", 4, "-n", 20_000]),
    ("delay", {"delay": 0.01}, ["-c", 50, "-n", 2000]),
    ("dribble", {}, ["-c", 30, "-s", 100, "-n", 1000]),
])
def test_the_java_library_finds_the_same_quantiles(tmp_path: pathlib.Path, fault: str,
                                                   options: dict[str, Any],
                                                   arguments: list[object]) -> None:
    hdr_log_processor()
    with lying_server(fault, **options) as server:
        outputs = Outputs(tmp_path, server.address, "--interval=50ms", *arguments)
    for tag in TAGS:
        rows = processed(outputs.hdr, tag)
        ours = Histogram(outputs.result["histograms"][tag])
        assert rows[-1][2] == ours.count == outputs.result["totals"]["messages"]
        assert len(rows) > 500
        for value, quantile, upto in rows:
            assert value == pytest.approx(ours.at_rank(upto), rel=1e-3), quantile
        for name, quantile in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)]:
            figure = outputs.result[f"{tag}_ns"][name]
            if figure is not None:
                below = max(value for value, upto, _ in rows if upto <= quantile)
                above = min(value for value, upto, _ in rows if upto >= quantile)
                assert below * 0.999 <= figure <= above * 1.001, (tag, name)


def test_the_java_library_reads_a_log_without_samples(tmp_path: pathlib.Path) -> None:
    hdr_log_processor()
    with lying_server("discard") as silent:
        outputs = Outputs(tmp_path, silent.address, "-d", "50ms", "--timeout=100ms")
    assert [histogram.count for *_, histogram in outputs.logged("latency")] == [0]
    assert all(upto == 0 for *_, upto in processed(outputs.hdr, "latency"))


# --- CSV ------------------------------------------------------------------------------------------


def test_the_csv_is_the_intervals(echo: Server, tmp_path: pathlib.Path) -> None:
    outputs = Outputs(tmp_path, echo.address, "-c", 4, "-d", "350ms", "--interval=100ms")
    text = outputs.csv.read_text()
    assert text.splitlines()[0] == "t_s,messages,messages_per_s,p50_ns,p99_ns,max_ns"
    assert text.endswith("\n") and "\r" not in text
    rows = list(csv.DictReader(text.splitlines()))
    intervals = outputs.result["intervals"]
    assert len(rows) == len(intervals) == 4
    begin = 0.0
    for row, interval in zip(rows, intervals):
        assert float(row["t_s"]) == pytest.approx(interval["t_s"], abs=1e-6)
        assert int(row["messages"]) == interval["messages"]
        assert float(row["messages_per_s"]) == pytest.approx(
            interval["messages"] / (interval["t_s"] - begin), rel=0.01)
        for column, key in [("p50_ns", "p50"), ("p99_ns", "p99"), ("max_ns", "max")]:
            assert (int(row[column]) if row[column] else None) == interval[key]
        begin = interval["t_s"]


def test_what_an_interval_cannot_support_is_empty(tmp_path: pathlib.Path) -> None:
    with lying_server("delay", delay=0.15) as slow:
        outputs = Outputs(tmp_path, slow.address, "-n", 1, "--interval=100ms")
    assert [line.split(",")[1:] for line in outputs.csv.read_text().splitlines()[1:]][0] == [
        "0", "0.0", "", "", ""]


# --- Where they cannot be written -----------------------------------------------------------------


OUTPUTS = ["json", "hdr", "csv"]


@pytest.mark.parametrize("option", OUTPUTS)
def test_a_missing_directory_is_noticed_before_the_run(tmp_path: pathlib.Path, option: str) -> None:
    target = tmp_path / "missing" / "result"
    with lying_server("none") as server:
        ended = run("loadgen", server.address, "-n", 20, f"--{option}={target}")
        server.stop()
    assert ended.status == 1 and one_line(ended.stderr) and str(target) in ended.stderr, ended
    assert ended.stdout == "" and server.connections == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", OUTPUTS)
def test_a_directory_is_noticed_before_the_run(tmp_path: pathlib.Path, option: str) -> None:
    with lying_server("none") as server:
        ended = run("loadgen", server.address, "-n", 20, f"--{option}={tmp_path}")
        server.stop()
    assert ended.status == 1 and one_line(ended.stderr) and str(tmp_path) in ended.stderr, ended
    assert server.connections == 0 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", OUTPUTS)
def test_one_that_fails_at_the_end_leaves_the_others(echo: Server, tmp_path: pathlib.Path,
                                                     option: str) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    others = {name: tmp_path / name for name in OUTPUTS if name != option}
    ended = run("loadgen", echo.address, "--warmup=0", "-n", 20, f"--{option}={full}",
                *(f"--{name}={path}" for name, path in others.items()))
    assert ended.status == 1 and one_line(ended.stderr) and "No space left" in ended.stderr, ended
    assert "p50" in ended.stdout
    assert all(path.stat().st_size > 0 for path in others.values())
    assert full.is_char_device()


@pytest.mark.parametrize("option", OUTPUTS)
def test_what_was_there_survives_a_run_that_could_not_start(tmp_path: pathlib.Path,
                                                            option: str) -> None:
    target = tmp_path / "earlier"
    target.write_text("an earlier one")
    ended = run("loadgen", "127.0.0.1:1", "--timeout=100ms", f"--{option}={target}")
    assert ended.status == 1 and target.read_text() == "an earlier one"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("arguments", [
    ["--hdr="], ["--csv="], ["--hdr=-"], ["--csv=-"], ["--hdr=x", "--csv=x"],
    ["--json=x", "--hdr=x"], ["--json=x", "--csv=x"],
])
def test_bad_usage(tmp_path: pathlib.Path, arguments: list[str]) -> None:
    ended = run("loadgen", "127.0.0.1:1", *arguments, cwd=tmp_path)
    assert ended.status == 2 and one_line(ended.stderr), ended
    assert list(tmp_path.iterdir()) == []


def test_all_three_at_once(echo: Server, tmp_path: pathlib.Path) -> None:
    paths = {name: tmp_path / name for name in OUTPUTS}
    ended: Run = run("loadgen", echo.address, "--warmup=0", "-n", 20,
                     *(f"--{name}={path}" for name, path in paths.items()))
    assert ended.status == 0 and ended.stderr == ""
    check_result(paths["json"].read_text())
    assert sorted(tmp_path.iterdir()) == sorted(paths.values()), "it left something behind"
