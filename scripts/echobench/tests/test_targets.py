"""Whether a target is met is said by the interval, never by the estimate."""

from pathlib import Path

import pytest

from echobench.loadgen_result import CLIENT_CPU, SERVER_CPU, THROUGHPUT
from echobench.plan import sweep
from echobench.result_set import ResultSet, read
from echobench.targets import Target, beside_the_floor, standing, table_of
from echobench.tests.sample import simulated, write

SPEEDS = {"epoll": 1.0, "floor": 0.5, "spinning floor": 1.05, "plain epoll": 0.9, "libuv": 0.6}


@pytest.fixture(name="record")
def fixture_record(tmp_path: Path) -> ResultSet:
    loads = sweep({"connections": [1, 500]})
    return read(write(tmp_path / "scaling", *simulated(loads, SPEEDS, blocks=12)))


@pytest.mark.parametrize("limit, word", [(0.9, "met"), (0.95, "not shown either way"),
                                         (1.0, "missed")])
def test_the_interval_decides(record: ResultSet, limit: float, word: str) -> None:
    floors = ("floor", "spinning floor")
    found = standing(
        Target("scaling", "500 connections", "epoll", THROUGHPUT, limit, floors), record
    )
    assert found.divisor == "spinning floor"  # the better one
    assert found.word == word
    assert found.ratio is not None and 0.92 < found.ratio.ratio < 0.98


def test_a_workload_beside_another(record: ResultSet) -> None:
    found = standing(
        Target("scaling", "500 connections", "epoll", THROUGHPUT, 0.8, beside="1 connection"),
        record,
    )
    assert found.divisor == "1 connection" and found.word == "met"
    rows = table_of([found])
    assert rows[1][-2:] == ["at least 0.80", "met"]


def test_a_quantity_by_another_of_the_same_slices(record: ResultSet) -> None:
    found = standing(
        Target("asleep", "500 connections", "epoll", CLIENT_CPU, 1.0, per=SERVER_CPU), record
    )
    assert found.divisor == "server CPU per message"
    values = [(CLIENT_CPU.of(each), SERVER_CPU.of(each)) for each in record.slices
              if each.subject == "epoll" and each.workload == "500 connections"]
    assert found.ratio is not None and values[0][0] and values[0][1]
    assert found.ratio.ratio == pytest.approx(values[0][0] / values[0][1], rel=0.2)


def test_all_beside_the_better_floor(record: ResultSet) -> None:
    heading, first, _ = beside_the_floor(record)
    assert heading == ["", "floor", "epoll", "plain epoll", "libuv"]
    assert first[0] == "1 connection" and first[2].startswith("0.9")
