"""What is decided before anything is measured: the order of the slices, and the CPUs."""

from pathlib import Path

import pytest

from echobench.plan import interleave
from echobench.topology import place


def test_each_block_has_every_subject_once() -> None:
    for block in interleave(["a", "b", "c"], 50, seed=1):
        assert sorted(block) == ["a", "b", "c"]


def test_the_order_is_random_and_the_seed_repeats_it() -> None:
    order = interleave(["a", "b"], 40, seed=3)
    assert order == interleave(["a", "b"], 40, seed=3)
    assert order != interleave(["a", "b"], 40, seed=4)
    assert 10 <= sum(block == ["a", "b"] for block in order) <= 30


def test_subjects_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="different names"):
        interleave(["a", "a"], 3, seed=1)


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
