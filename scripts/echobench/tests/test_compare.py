"""scripts/compare: which sets it takes, in which forms it answers, and when it fails a build."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from echobench import compare_command
from echobench.plan import Workload, sweep
from echobench.tests.sample import manifest_of, simulated, slices_of, write

LOADS = sweep({"connections": [1, 10]})


def a_set(
    path: Path, factors: dict[str, float], loads: list[Workload] = LOADS, blocks: int = 10,
    seed: int = 1,
) -> str:
    return str(write(path, *simulated(loads, factors, blocks, seed)))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = compare_command.main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_one_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_set(tmp_path / "set", {"a": 1.0, "b": 1.2, "c": 1.0}, seed=4)
    status, out, err = run(capsys, folder)
    assert (status, err) == (0, "")
    assert "1 connection: b is faster than a here (throughput x 1." in out
    assert "1 connection: c against a: no difference shown" in out
    status, out, _ = run(capsys, folder, "--baseline=b", "--metric=throughput")
    assert "1 connection: a is slower than b here" in out and "latency" not in out
    assert run(capsys, folder, "--baseline=z")[0] == 2
    assert run(capsys, a_set(tmp_path / "alone", {"a": 1.0}))[0] == 2


def test_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_set(tmp_path / "set", {"a": 1.0, "b": 1.2})
    found = json.loads(run(capsys, folder, "--format=json")[1])["comparisons"]
    assert len(found) == 2 * 7
    assert found[0]["words"] == "faster" and found[0]["low"] < 1.2 < found[0]["high"]
    rows = list(csv.DictReader(io.StringIO(run(capsys, folder, "--format=csv")[1])))
    assert [row["metric"] for row in rows[:2]] == ["throughput", "p50"]
    assert float(rows[0]["ratio"]) == pytest.approx(found[0]["ratio"], rel=1e-5)
    assert run(capsys, folder, "--format=markdown")[1].startswith("| workload | quantity |")
    assert run(capsys, folder, "--format=latex")[1].startswith("\\begin{tabular}{llllrrrrr}")
    out = tmp_path / "out.csv"
    assert run(capsys, folder, "--format=csv", f"--output={out}")[1] == ""
    assert out.read_text().startswith("workload,metric,")
    assert run(capsys, folder, f"--output={tmp_path}")[0] == 1


def test_sets_are_compared_with_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = a_set(tmp_path / "before", {"a": 1.0, "b": 1.0})
    after = a_set(tmp_path / "after", {"a": 1.0, "b": 0.8}, seed=2)
    status, out, err = run(capsys, before, after)
    assert status == 0 and "measured at different times" in err
    assert "a (after) against a (before): no difference shown" in out
    assert "b (after) is slower than b (before) here" in out
    status, out, _ = run(capsys, before, after, after, "--baseline=a", "--format=json")
    assert {each["baseline"] for each in json.loads(out)["comparisons"]} == {"a (before)"}


def test_unlike_things_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = a_set(tmp_path / "one", {"a": 1.0, "b": 1.0})
    manifest, slices = simulated(LOADS, {"a": 1.0, "b": 1.0}, blocks=10)
    for each in slices:
        assert each.result is not None
        each.result["context"].update({"kernel": "4.4", "cpu_model": "80486"})
    other = str(write(tmp_path / "other", manifest, slices))
    status, out, err = run(capsys, one, other)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "kernel: 6.18" in err and "/ 4.4" in err and "--allow=machine,kernel" in err
    assert run(capsys, one, other, "--allow=kernel")[0] == 2
    assert run(capsys, one, other, "--allow=kernel,machine")[0] == 0
    assert run(capsys, one, other, "--allow=all")[0] == 0
    assert run(capsys, one, other, "--allow=everything")[0] == 2


def test_another_size_or_mode_is_another_workload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = a_set(tmp_path / "one", {"a": 1.0, "b": 1.0})
    sizes = sweep({"connections": [1], "message_size": [9]})
    larger = a_set(tmp_path / "larger", {"a": 1.0}, sizes)
    status, _, err = run(capsys, one, larger, "--allow=all")
    assert status == 2 and "no workload is in all of the sets: 1 connection, 10" in err
    manifest, slices = simulated(LOADS, {"a": 1.0, "b": 1.0}, blocks=10)
    for each in slices[:4]:
        assert each.result is not None
        each.result["config"]["message_size"] = 128
    mixed = str(write(tmp_path / "mixed", manifest, slices))
    status, _, err = run(capsys, mixed)
    assert status == 2 and "message_size under 1 connection: 128 / 64" in err


def test_other_windows_and_places_are_unlike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = a_set(tmp_path / "one", {"a": 1.0})
    manifest, slices = simulated(LOADS, {"a": 1.0}, blocks=10)
    longer = str(write(tmp_path / "longer", replace(manifest, duration_s=5.0), slices))
    assert "window: 1 s after 0.2 s / 5 s after 0.2 s" in run(capsys, one, longer)[2]


@pytest.mark.parametrize(("factor", "status"), [(0.9, 3), (0.97, 0), (1.0, 0), (1.2, 0)])
def test_a_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: float, status: int
) -> None:
    folder = a_set(tmp_path / "set", {"a": 1.0, "b": factor}, blocks=20)
    got, _, err = run(capsys, folder, "--fail-if-slower=5%")
    assert got == status, err
    assert ("throughput is" in err) == (status == 3)


def test_too_few_runs_or_runs_that_do_not_hold_pass_no_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = a_set(tmp_path / "few", {"a": 1.0, "b": 1.0}, blocks=5)
    assert run(capsys, few)[0] == 0
    status, _, err = run(capsys, few, "--fail-if-slower=5%")
    assert status == 3 and "too few runs" in err
    slices = slices_of("a", [1e5] * 8) + slices_of("b", [2e5] * 8, status="invalid", code="corrupt")
    bad = str(write(tmp_path / "bad", manifest_of(["a", "b"]), slices))
    status, _, err = run(capsys, bad, "--fail-if-slower=5%")
    assert status == 3 and "does not hold" in err and "8 invalid" in err


@pytest.mark.parametrize("options", [
    (), ("x", "--fail-if-slower=5"), ("x", "--fail-if-slower=0%"), ("x", "--format=xml"),
    ("x", "--metric=speed"), ("x", "--nonsense"), ("/nowhere",),
])
def test_bad_usage_is_one_line(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    status, out, err = run(capsys, *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("compare: ")
