"""scripts/compare --merge: results of one time become one, exactly; unlike ones and those of
different times do not."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from echobench import hdr
from echobench.tests.sample import recorded
from echobench.tests.test_compare import run


def one() -> dict[str, Any]:
    """A recorded result; its window lasts a second or so."""
    found: dict[str, Any] = json.loads(recorded())["result"]
    found["started_at"] = "2024-01-01T10:00:00Z"
    found["totals"]["elapsed_s"] = 30.0
    found["verdict"] = {"status": "valid", "reasons": []}
    return found


def written(folder: Path, *results: dict[str, Any]) -> list[str]:
    paths = [folder / f"host{number}.json" for number in range(len(results))]
    for path, result in zip(paths, results):
        path.write_text(json.dumps(result))
    return [str(path) for path in paths]


def merged(capsys: pytest.CaptureFixture[str], folder: Path,
           *results: dict[str, Any]) -> dict[str, Any]:
    status, out, err = run(capsys, "--merge", *written(folder, *results), "--format=json")
    assert status in (0, 3), err
    found: dict[str, Any] = json.loads(out)
    return found


def test_counts_are_sums_and_quantiles_those_of_all_samples(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = one()
    samples = hdr.decode(slow["histograms"]["latency"])
    slower = hdr.Histogram((0,) * 4096 + samples.counts)  # each sample sixteen times as long
    slow["histograms"]["latency"] = hdr.encode(slower)
    slow["latency_ns"].update({"min": 10**7, "max": 10**9, "mean": 5e7})
    slow["config"]["connections"] = 300
    found = merged(capsys, tmp_path, one(), slow)
    total, fast = found["total"], one()
    both = hdr.merged([samples, slower])
    assert hdr.decode(total["histograms"]["latency"]) == both
    assert total["latency_ns"]["p50"] == both.quantile(0.5)
    assert total["latency_ns"]["p99"] == both.quantile(0.99)
    assert total["latency_ns"]["count"] == 2 * fast["latency_ns"]["count"]
    assert total["latency_ns"]["min"] == fast["latency_ns"]["min"]
    assert total["latency_ns"]["max"] == 10**9
    assert total["latency_ns"]["mean"] == pytest.approx((fast["latency_ns"]["mean"] + 5e7) / 2)
    assert total["totals"]["messages"] == 2 * fast["totals"]["messages"]
    assert total["connections"] == fast["config"]["connections"] + 300
    assert total["messages_per_s"] == 2 * fast["throughput"]["messages_per_s"]
    assert total["verdict"] == {"status": "valid", "reasons": []}
    assert [each["file"] for each in found["runs"]] == ["host0.json", "host1.json"]


def test_one_alone_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    total = merged(capsys, tmp_path, one())["total"]
    for name in ("latency_ns", "service_ns"):
        assert {key: total[name][key] for key in one()[name]} == one()[name]


def test_no_quantile_is_above_the_largest(tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    """A bucket's upper end may be, where all samples lie in its lower part."""
    narrow = one()
    narrow["histograms"]["latency"] = hdr.encode(hdr.Histogram((0,) * 3100 + (5000,)))
    narrow["latency_ns"].update({"count": 5000, "min": 4208, "max": 4209, "mean": 4208.5})
    assert hdr.highest_of(3100) > 4209
    total = merged(capsys, tmp_path, narrow, narrow)["total"]
    assert total["latency_ns"]["p50"] == total["latency_ns"]["p99"] == 4209


def test_what_never_came_back_makes_the_upper_quantiles_infinite(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losing = one()
    losing["latency_ns"].update({"infinite": losing["latency_ns"]["count"], "max": None,
                                 "mean": None, "p50": None, "p99": None})
    total = merged(capsys, tmp_path, one(), losing)["total"]
    assert total["latency_ns"]["p50"] is not None
    assert [total["latency_ns"][key] for key in ("p90", "p99", "mean", "max")] == [None] * 4


def test_throughput_is_not_summed_of_different_times(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for started, summed in (("10:00:02", True), ("10:00:05", False), ("11:00:00", False)):
        later = one()
        later["started_at"] = f"2024-01-01T{started}Z"
        total = merged(capsys, tmp_path, one(), later)["total"]
        assert (total["messages_per_s"] is not None) == summed
        codes = [reason["code"] for reason in total["verdict"]["reasons"]]
        assert codes == ([] if summed else ["not_together"])
        assert total["verdict"]["status"] == ("valid" if summed else "questionable")
        assert total["latency_ns"]["count"] == 2 * one()["latency_ns"]["count"]


def test_it_holds_no_better_than_its_worst_part(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = one()
    bad["verdict"] = {"status": "invalid", "reasons": [{"code": "corrupt", "message": "1 flipped",
                                                       "advice": "mend it"}]}
    status, out, err = run(capsys, "--merge", *written(tmp_path, one(), bad))
    assert status == 3 and "run_invalid: host1.json: corrupt: 1 flipped" in err
    assert out.splitlines()[-1].startswith("total") and out.splitlines()[-1].endswith("invalid")


@pytest.mark.parametrize("place,key,value,aspect", [
    ("config", "message_size", 4096, "load"), ("config", "pipeline", 2, "load"),
    ("config", "target", "10.0.0.9:8888", "load"), ("config", "duration_s", 9.0, "window"),
    ("config", "backend", "epoll", "loadgen"), ("tool", "version", "9.9.9", "loadgen"),
])
def test_unlike_runs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str,
                                 key: str, value: Any, aspect: str) -> None:
    first = one()
    first["config"]["backend"] = "io_uring"
    other = copy.deepcopy(first)
    other[place][key] = value
    files = written(tmp_path, first, other)
    status, out, err = run(capsys, "--merge", *files)
    assert (status, out) == (2, "") and f"--allow={aspect}" in err and err.count("\n") == 1
    assert run(capsys, "--merge", f"--allow={aspect}", *files)[0] == 0


@pytest.mark.parametrize("spoil", ["{", "[]", "{}", '{"schema_version": 2}'])
def test_what_is_no_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                      spoil: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(spoil)
    status, _, err = run(capsys, "--merge", str(path))
    assert status == 2 and "x.json" in err and err.count("\n") == 1
    assert run(capsys, "--merge", str(tmp_path / "none.json"))[0] == 2


def test_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path, one())
    for option in ("--baseline=a", "--metric=p99", "--fail-if-slower=5%"):
        assert run(capsys, "--merge", option, *files)[0] == 2
    for form, begin in (("markdown", "| file |"), ("csv", "file,"), ("latex", "\\begin{tabular}")):
        assert run(capsys, "--merge", f"--format={form}", *files)[1].startswith(begin)


def test_ranks_are_taken_like_any_other(tmp_path: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    ranked = one()
    ranked["ranks"] = [{"host": "anna"}]
    assert merged(capsys, tmp_path, ranked, one())["total"]["messages_per_s"] is not None
