"""scripts/chain: what it takes, and what it makes of it."""

from pathlib import Path

import pytest

from echobench.chain import Plan, client_command, name_of, node_command, parse_plan, table


def plan_of(*arguments: str) -> Plan:
    return parse_plan(arguments)[0]


def test_a_number_is_all_that_is_needed() -> None:
    plan = plan_of("5")
    assert (plan.length, plan.message, plan.backend) == (5, "hello", "epoll")
    assert plan.hops == [1, 2, 4, 8, 16]


def test_lengths_to_measure() -> None:
    assert plan_of("5", "--hops=3,64").hops == [3, 64]
    assert plan_of("5", "--hops=none").hops == []


@pytest.mark.parametrize("arguments", [
    [], ["0"], ["65"], ["-1"], ["x"], ["3", "4"], ["3", "--hops="], ["3", "--hops=0"],
    ["3", "--backend=blocking"], ["3", "--rounds=0"], ["3", "--duration=0"],
    ["3", "--duration=nan"], ["3", "--message="], ["3", "--message=a\nb"], ["3", "--out=/"],
    ["3", "--nonsense"]])
def test_mistakes_are_told_in_one_line(capsys: pytest.CaptureFixture[str],
                                       arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_plan(arguments)
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert captured.err.startswith("chain: ")


def test_every_node_has_a_name_of_its_own() -> None:
    names = [name_of(number) for number in range(64)]
    assert names[:3] == ["alice", "bob", "carol"]
    assert len(set(names)) == 64


def test_the_last_node_echoes_and_the_others_relay() -> None:
    plan = plan_of("2", "--bin=/programs", "--backend=io_uring")
    common = ["/programs/echo-server", "--port=0", "--backend=io_uring", "--busy-poll=off"]
    assert node_command(plan, 1, None, True) == [*common, "--sign=bob"]
    assert node_command(plan, 0, "127.0.0.1:7", False) == [*common, "--relay=127.0.0.1:7"]
    assert client_command(plan, "127.0.0.1:8")[:2] == ["/programs/loadgen", "127.0.0.1:8"]


def test_table() -> None:
    rows = table({1: [50.0, 40.0, 70.0], 16: [500.0]}).splitlines()
    assert rows[1].split() == ["1", "50.0", "us", "40.0", "to", "70.0"]
    assert rows[2].split() == ["16", "500.0", "us", "500.0", "to", "500.0"]


def test_results_never_go_over_others(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        parse_plan(["3", f"--out={tmp_path}"])
