"""What is decided before anything is measured: the order of the slices, and the CPUs."""

from pathlib import Path

import pytest

from echobench.plan import Workload, block_order, sweep
from echobench.subjects import BadSubject, parse, start_command
from echobench.topology import place


def test_each_block_has_every_slice_once_and_a_workload_s_slices_stand_together() -> None:
    for block in range(50):
        order = block_order(["a", "b", "c"], ["x", "y"], 1, block)
        assert sorted(order) == sorted((load, who) for load in "xy" for who in "abc")
        assert len({load for load, _ in order[:3]}) == 1


def test_the_order_is_random_and_the_seed_repeats_it() -> None:
    def orders(seed: int) -> list[list[tuple[str, str]]]:
        return [block_order(["a", "b"], ["x"], seed, block) for block in range(40)]

    assert orders(3) == orders(3)
    assert orders(3) != orders(4)
    assert 10 <= sum(order[0] == ("x", "a") for order in orders(3)) <= 30


def test_subjects_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="different names"):
        block_order(["a", "a"], ["x"], 1, 0)


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"connections": 1}, "1 connection"),
        ({"connections": 500, "message_size": 65536}, "500 connections, 64 KiB"),
        ({"connections": 5, "pipeline": 16, "rate": 2e4}, "5 connections, pipeline 16, 20 k per s"),
        ({"hops": 4}, "4 hops, 1 connection"),
    ],
)
def test_a_workload_says_what_it_is(keys: dict[str, float], name: str) -> None:
    assert Workload(keys).name == name


def test_loadgen_is_told_its_own_keys_only() -> None:
    load = Workload({"connections": 5, "message_size": 100, "hops": 3, "rate": 2.5}, ["--churn=1"])
    assert load.options() == ["--connections=5", "--size=100", "--rate=2.5", "--churn=1"]


def test_a_sweep_is_every_combination() -> None:
    loads = sweep({"connections": [1, 10], "pipeline": [1, 16]})
    assert [dict(each.keys) for each in loads] == [
        {"connections": 1, "pipeline": 1}, {"connections": 1, "pipeline": 16},
        {"connections": 10, "pipeline": 1}, {"connections": 10, "pipeline": 16},
    ]


BIN = Path("bin")


def test_a_subject_is_a_backend_or_options_or_a_command() -> None:
    assert parse("epoll", BIN).command == ["bin/echo-server", "--backend=epoll"]
    calm = parse("calm=--backend=epoll --busy-poll=off", BIN)
    assert start_command(calm, {}, 3, None) == [
        "bin/echo-server", "--backend=epoll", "--busy-poll=off", "--port=0", "--cpu=3",
    ]
    mine = parse("mine=./srv 'a b' {port} --n={hops}", BIN)
    assert start_command(mine, {"hops": 4}, 3, 99) == ["./srv", "a b", "99", "--n=4"]


@pytest.mark.parametrize("text", ["", "x", "=./srv {port}", "../x=./srv {port}", "x=./srv",
                                  "x=./srv '{port}", "x=", "a/b=--backend=epoll"])
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(BadSubject):
        parse(text, BIN)


def cpu(sysfs: Path, number: int, siblings: str, khz: int | None = None) -> None:
    topology = sysfs / f"cpu{number}/topology"
    topology.mkdir(parents=True)
    (topology / "thread_siblings_list").write_text(siblings + "\n")
    if khz is not None:
        (sysfs / f"cpu{number}/cpufreq").mkdir()
        (sysfs / f"cpu{number}/cpufreq/cpuinfo_max_freq").write_text(f"{khz}\n")


def test_two_plain_cores(tmp_path: Path) -> None:
    cpu(tmp_path, 0, "0")
    cpu(tmp_path, 1, "1")
    placement = place([0, 1], tmp_path)
    assert (placement.server, placement.client) == (0, 1)


def test_threads_of_one_core_are_not_two_cores(tmp_path: Path) -> None:
    for number, siblings in enumerate(["0-1", "0-1", "2-3", "2-3"]):
        cpu(tmp_path, number, siblings)
    placement = place(range(4), tmp_path)
    assert (placement.server, placement.client) == (1, 3)


def test_only_threads_of_one_core_are_used_and_said(tmp_path: Path) -> None:
    cpu(tmp_path, 0, "0,4")
    cpu(tmp_path, 4, "0,4")
    placement = place([0, 4], tmp_path)
    assert (placement.server, placement.client) == (0, 4)
    assert "threads of one core" in placement.remark


def test_fast_cores_come_first(tmp_path: Path) -> None:
    for number in range(4):
        cpu(tmp_path, number, str(number), khz=4_000_000 if number < 2 else 2_000_000)
    placement = place(range(4), tmp_path)
    assert {placement.server, placement.client} == {0, 1}


def test_a_machine_that_says_nothing_of_its_cores(tmp_path: Path) -> None:
    placement = place([2, 5], tmp_path)
    assert (placement.server, placement.client) == (2, 5)


def test_one_cpu_is_used_unpinned_and_said(tmp_path: Path) -> None:
    placement = place([3], tmp_path)
    assert (placement.server, placement.client) == (None, None)
    assert "one usable CPU" in placement.remark


def test_a_peer_or_a_floor_is_known_by_its_name() -> None:
    floor = parse("floor", Path("build/release/bin"))
    assert floor.client == ["build/release/bench/floor/floor_client", "--busy-poll=off"]
    command = start_command(floor, {"connections": 500}, None, 8000)
    assert command == ["build/release/bench/floor/floor_server", "8000", "500", "64", "1", "block"]
    assert parse("plain epoll", Path("bin")).command[0].endswith("plain_epoll_echo")
