"""scripts/bench: what it keeps of a run, the tables it makes of it, the check of the document."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from echobench.bench import PROGRAMS, main
from echobench.bench_record import Record, Series, kept, to_text
from echobench.bench_tables import BEGIN, END, figures, splice

SCRIPTS = Path(__file__).resolve().parents[2]
SHAPE = "bytes:64/connections:500"
DOCUMENT = f"before\n{BEGIN}\nold\n{END}\nafter\n"


def run_of(name: str, repetition: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "run_name": name,
        "run_type": "iteration",
        "family_index": 0,
        "per_family_instance_index": 0,
        "repetition_index": repetition,
        "real_time": 100.0,
        "cpu_time": 100.0,
        "time_unit": "ns",
        **fields,
    }


def report_of(*runs: Mapping[str, Any], load: float = 0.1) -> dict[str, Any]:
    return {
        "context": {
            "date": "2024-01-02T03:04:05+00:00",
            "host_name": "somebodys-laptop",
            "executable": "/home/somebody/echobench/build/release/bench/exchange_bench",
            "num_cpus": 2,
            "load_avg": [load, 0.2, 0.3],
            "cpu_model": "A CPU",
            "kernel": "6.1.0",
            "compiler": "gcc 12",
            "compiler_flags": "-O2",
            "liburing": "2.3",
            "git": "1234567",
        },
        "benchmarks": list(runs),
    }


def exchange_runs(uring: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Two repetitions of everything; `uring` replaces what io_uring says."""
    times = {"floor": 5_000.0, "epoll": 5_500.0, "io_uring": 4_500.0}
    user = {"floor": (150.0, 250.0), "epoll": (340.0, 360.0), "io_uring": (400.0, 500.0)}
    runs = []
    for repetition in (0, 1):
        for who, cpu_time in times.items():
            fields = {"cpu_time": cpu_time, "user_ns": user[who][repetition]}
            if who == "io_uring" and uring is not None:
                fields = dict(uring)
            runs.append(run_of(f"{who}/one_core/{SHAPE}", repetition, **fields))
        runs.append(
            run_of(
                f"floor/one_core_computing/{SHAPE}",
                repetition,
                user_ns=1_210.0,
                computed_ns=1_020.0,
            )
        )
        for who in ("floor_blocking", "floor_spinning", "epoll", "io_uring"):
            name = f"{who}/two_cores/bytes:65536/connections:1/process_time/real_time"
            runs.append(run_of(name, repetition, real_time=7_000.0))
    return runs


BOOKKEEPING = ("BM_TakeFromSchedule/uniform", "BM_TakeFromSchedule/poisson", "BM_TakeTurn",
               "BM_CountInTenth", "BM_Find/connections:500", "BM_Find/connections:19000",
               "BM_Owe/connections:19000")


def records(uring: Mapping[str, Any] | None = None, load: float = 0.1) -> dict[str, Any]:
    """A report for each program, as it is kept."""
    sizes = ("bytes:64/connections:500", "bytes:65536/connections:500")
    payload = [
        run_of(f"{name}/{size}", cpu_time=cpu_time)
        for name, cpu_time in (("BM_Make", 1.0), ("BM_Arrive", 3.0), ("BM_ArriveAndVerify", 5.5))
        for size in sizes
    ]
    block = run_of("BM_MakeBlock", cpu_time=1.5, time_unit="ms")
    histogram = [
        run_of(name, cpu_time=cpu_time)
        for name, cpu_time in (("BM_ReadTable", 0.5), ("BM_Record", 2.0), ("BM_Add", 9_000.0))
    ]
    reports = {
        "exchange_bench": report_of(*exchange_runs(uring), load=load),
        "payload_bench": report_of(*payload, block),
        "histogram_bench": report_of(*histogram),
        "bookkeeping_bench": report_of(*(run_of(name, cpu_time=1.25) for name in BOOKKEEPING)),
    }
    return {name: kept(each, ["--flag=1"]) for name, each in reports.items()}


def figures_of(reports: Mapping[str, Any]) -> list[str]:
    return figures({name: Record(each) for name, each in reports.items()}).splitlines()


# ---- the record


def test_neither_the_machines_name_nor_a_path_is_kept() -> None:
    text = to_text(kept(report_of(run_of("a")), ["--flag=1"]))
    assert "somebody" not in text
    context = json.loads(text)["context"]
    assert (context["executable"], context["arguments"]) == ("exchange_bench", ["--flag=1"])


def test_every_repetition_is_kept_on_its_line_and_no_aggregate() -> None:
    aggregate = {"run_name": "a", "run_type": "aggregate"}
    runs = [run_of("a"), run_of("a", 1), aggregate]
    text = to_text(kept(report_of(*runs), []))
    assert json.loads(text)["benchmarks"] == runs[:2]
    assert text.count("\n{") == 2


def test_the_random_order_of_the_run_is_not_kept() -> None:
    runs = [
        run_of(f"{family}{instance}", repetition, family_index=family,
               per_family_instance_index=instance)
        for family in (0, 1)
        for instance in (0, 1)
        for repetition in (0, 1)
    ]
    assert kept(report_of(*reversed(runs)), [])["benchmarks"] == runs


def test_times_are_read_in_their_unit_and_counters_as_they_are() -> None:
    series = Series([run_of("a", cpu_time=2.0, time_unit="ms", user_ns=7.0)])
    assert (series.median("cpu_time"), series.mean("user_ns")) == (2e6, 7.0)


def test_one_repetition_tells_no_spread() -> None:
    series = Series([run_of("a")])
    assert (series.spread("cpu_time"), series.standard_error("cpu_time")) == (0.0, 0.0)


def test_spread_and_standard_error() -> None:
    series = Series([run_of("a", cpu_time=value) for value in (90.0, 95.0, 100.0, 105.0, 500.0)])
    assert series.median("cpu_time") == 100.0
    assert series.spread("cpu_time") == pytest.approx(0.10)
    pair = Series([run_of("a", user_ns=value) for value in (10.0, 14.0)])
    assert pair.standard_error("user_ns") == pytest.approx(2.0)


def test_a_benchmark_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no benchmark b"):
        Record(report_of(run_of("a"))).series("b")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    for text in ('{"context": {}}', "[]", "{"):
        path.write_text(text)
        with pytest.raises(ValueError):
            Record.read(path)


# ---- the tables


def test_engines_stand_beside_the_floor() -> None:
    row = "| 64 B | 500 | 5.00 µs | 5.50 µs (× 1.10) | 4.50 µs (× 0.90) |"
    assert row in figures_of(records())


def test_user_space_has_its_standard_error() -> None:
    assert "| 64 B | 500 | 200 ± 50 ns | 350 ± 10 ns | 450 ± 50 ns |" in figures_of(records())


def test_the_split_is_checked_against_a_known_time() -> None:
    text = "\n".join(figures_of(records()))
    assert "computes for 1020 ns more in user space shows 1010 ± 50 ns more of it" in text


def test_two_cores() -> None:
    assert "| 64 KiB | 1 | 7.00 µs | 7.00 µs | 7.00 µs | 7.00 µs |" in figures_of(records())


def test_the_load_generators_work_is_without_the_floor_of_its_benchmark() -> None:
    lines = figures_of(records())
    assert "| verify a message of 64 B, 500 connections | 2.50 ns |" in lines
    assert "| record a latency | 1.50 ns |" in lines
    assert "| take the next connection's turn | 1.25 ns |" in lines
    assert "| make the block that all messages are slices of | 1.50 ms |" in lines


def test_where_an_engine_could_not_run_there_is_no_number() -> None:
    skipped = {"error_occurred": True, "error_message": "io_uring is disabled", "cpu_time": 0.0}
    lines = figures_of(records(skipped))
    assert "| 64 B | 500 | 5.00 µs | 5.50 µs (× 1.10) | - |" in lines
    assert "| 64 B | 500 | 200 ± 50 ns | 350 ± 10 ns | - |" in lines
    assert "io_uring on one core was not measured: io_uring is disabled." in lines


def test_the_command_and_the_machine_are_named() -> None:
    text = "\n".join(figures_of(records()))
    assert "build/release/bench/exchange_bench \\\n    --flag=1" in text
    assert "A CPU, 2 CPUs, Linux 6.1.0" in text
    assert "Load average before the run: 0.10." in text


def test_a_busy_machine_is_not_hidden() -> None:
    assert not any("busy" in line for line in figures_of(records()))
    assert any("busy" in line for line in figures_of(records(load=3.0)))


def test_the_figures_replace_what_is_between_the_markers() -> None:
    once = splice(DOCUMENT, "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert splice(once, "new") == once
    for lacking in ("", BEGIN, END, f"{END}{BEGIN}"):
        with pytest.raises(ValueError, match="lacks the lines"):
            splice(lacking, "new")


# ---- the command


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with records and a document that does not agree with them."""
    (tmp_path / "records").mkdir()
    for name, each in records().items():
        (tmp_path / f"records/{name}.json").write_text(to_text(each))
    (tmp_path / "document.md").write_text(DOCUMENT)
    return tmp_path


def options(place: Path) -> list[str]:
    return [f"--records={place}/records", f"--document={place}/document.md"]


def test_check_sees_a_figure_that_was_typed_by_hand(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", *options(place)]) == 3
    assert main(["--table", *options(place)]) == 0
    assert main(["--check", *options(place)]) == 0
    document = place / "document.md"
    document.write_text(document.read_text().replace("5.50 µs", "5.40 µs"))
    capsys.readouterr()
    assert main(["--check", *options(place)]) == 3
    said = capsys.readouterr().err
    assert "-| 64 B | 500 | 5.00 µs | 5.40 µs" in said
    assert "+| 64 B | 500 | 5.00 µs | 5.50 µs" in said


def test_check_writes_nothing(place: Path) -> None:
    main(["--check", *options(place)])
    assert (place / "document.md").read_text() == DOCUMENT


def test_a_record_that_is_missing_is_an_error(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "records/payload_bench.json").unlink()
    assert main(["--check", *options(place)]) == 1
    assert "payload_bench.json" in capsys.readouterr().err


STAND_IN = """#!{python}
import json, sys
names = [run["name"] for run in {report}["benchmarks"]]
if "--benchmark_list_tests=true" in sys.argv:
    print("\\n".join(sorted(set(names))))
    sys.exit()
out = [each.partition("=")[2] for each in sys.argv if each.startswith("--benchmark_out=")]
open(out[0], "w").write(json.dumps({report}))
print("something", file=sys.stderr)
sys.exit({status})
"""


@pytest.fixture
def programs(place: Path) -> Callable[..., Path]:
    """Makes stand-ins for the benchmarks; one of them may fail."""

    def make(failing: str = "") -> Path:
        directory = place / "programs"
        directory.mkdir()
        for name, each in records().items():
            report = {"context": {**report_of()["context"]}, "benchmarks": each["benchmarks"]}
            report["context"]["executable"] = f"/somewhere/{name}"
            status = 1 if name == failing else 0
            text = STAND_IN.format(python=sys.executable, report=repr(report), status=status)
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)
        return directory

    return make


def start(place: Path, directory: Path) -> "subprocess.Popen[str]":
    arguments = [f"--programs={directory}", "--repetitions=2", "--min-time=0.5", *options(place)]
    return subprocess.Popen(
        [sys.executable, "-m", "echobench.bench", *arguments],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def measure(place: Path, directory: Path) -> "subprocess.CompletedProcess[str]":
    process = start(place, directory)
    stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def test_a_run_is_kept_and_written_into_the_document(
    place: Path, programs: Callable[..., Path]
) -> None:
    for record in (place / "records").iterdir():
        record.unlink()
    done = measure(place, programs())
    assert (done.returncode, done.stdout) == (0, "")
    assert main(["--check", *options(place)]) == 0
    kept_arguments = json.loads((place / "records/payload_bench.json").read_text())["context"]
    assert kept_arguments["arguments"] == [
        "--benchmark_repetitions=2",
        "--benchmark_enable_random_interleaving=true",
        "--benchmark_min_time=0.125",
    ]


def test_a_benchmark_that_fails_leaves_the_old_records(
    place: Path, programs: Callable[..., Path]
) -> None:
    before = {path: path.read_text() for path in (place / "records").iterdir()}
    done = measure(place, programs(failing="histogram_bench"))
    assert done.returncode == 1
    assert "histogram_bench ended with 1: something" in done.stderr
    assert before == {path: path.read_text() for path in (place / "records").iterdir()}
    assert (place / "document.md").read_text() == DOCUMENT


def test_an_interrupted_run_writes_nothing_and_leaves_no_process(
    place: Path, programs: Callable[..., Path]
) -> None:
    directory = programs()
    pid_file = place / "pid"
    sleeper = f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
    (directory / "exchange_bench").write_text(f"#!{sys.executable}\n{sleeper}time.sleep(60)\n")
    process = start(place, directory)
    while not (pid_file.exists() and pid_file.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "interrupted by SIGTERM" in stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert (place / "document.md").read_text() == DOCUMENT


def test_programs_that_are_not_built_are_an_error(place: Path) -> None:
    done = measure(place, place / "nowhere")
    assert done.returncode == 1
    assert "cannot start" in done.stderr and next(iter(PROGRAMS)) in done.stderr


@pytest.mark.parametrize(
    "option",
    ["--nonsense", "extra", "--repetitions=0", "--min-time=0", "--min-time=1s", "--programs="],
)
def test_bad_usage_is_one_line_that_names_the_option(option: str) -> None:
    done = typed(option)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert option in done.stderr


def test_help_is_on_stdout() -> None:
    done = typed("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: scripts/bench")


def typed(option: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [SCRIPTS / "bench", option],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
