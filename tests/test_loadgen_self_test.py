"""loadgen --self-test: it passes here, and where a rule of measuring is broken on purpose, the line
that is about this rule fails and no other."""

import re
import subprocess

import pytest

from loadgen_fixtures import ENGINES, one_line, program, run
from server_process import environment

# What is broken (loadgen/broken_rule.h), and a word of the line that must say so.
RULES = {
    "intended_time": "the server stops",
    "own_stall": "loadgen itself is stopped",
    "unanswered": "never comes back",
    "every_byte": "one bit",
    "send_stamp": "after 1 ms",
    "one_sample_a_message": "byte by byte",
}


def self_test(name: str, *arguments: str,
              **variables: str) -> "tuple[int, dict[str, list[str]], str]":
    """The exit code, the titles by verdict, and all that was printed."""
    ended = subprocess.run([program(name), "--self-test", *arguments], text=True, timeout=58,
                           capture_output=True, env={**environment(), **variables})
    if ended.returncode == 4:
        pytest.skip(ended.stderr.strip())
    assert ended.stderr == ""
    titles: dict[str, list[str]] = {"pass": [], "FAIL": []}
    for verdict, title in re.findall(r"^(pass|FAIL)  (.*)$", ended.stdout, re.M):
        titles[verdict].append(title)
    assert len(re.findall(r"^ +expected  \S", ended.stdout, re.M)) == len(RULES)
    assert len(re.findall(r"^ +seen      \S", ended.stdout, re.M)) == len(RULES)
    return ended.returncode, titles, ended.stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_it_passes_here(engine: str) -> None:
    status, titles, printed = self_test("loadgen", f"--backend={engine}")
    assert (status, titles["FAIL"]) == (0, []), printed
    assert len(titles["pass"]) == len(RULES)
    assert printed.endswith("6 of 6 passed\n") and engine in printed.splitlines()[0]
    assert all(len(line) <= 110 for line in printed.splitlines()), "it fits a terminal"


@pytest.mark.long
@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_fails_its_line(rule: str) -> None:
    status, titles, printed = self_test("loadgen-breakable", "--backend=epoll",
                                        ECHOBENCH_BREAK=rule)
    assert status == 3, printed
    assert len(titles["FAIL"]) == 1 and RULES[rule] in titles["FAIL"][0], printed
    assert len(titles["pass"]) == len(RULES) - 1, printed


def test_loadgen_itself_cannot_be_broken() -> None:
    with open(program("loadgen"), "rb") as file:
        assert b"ECHOBENCH_BREAK" not in file.read()
    with open(program("loadgen-breakable"), "rb") as file:
        assert b"ECHOBENCH_BREAK" in file.read()


@pytest.mark.parametrize("arguments", [
    ["127.0.0.1:1"], ["--json=x"], ["--connections=3"], ["-q"], ["--backend", "epoll", "-c3"],
])
def test_it_goes_alone(arguments: "list[str]") -> None:
    ended = run("loadgen", "--self-test", *arguments)
    assert ended.status == 2 and one_line(ended.stderr) and "--self-test" in ended.stderr


def test_a_full_stdout() -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run([program("loadgen"), "--self-test", "--backend=epoll"], stdout=full,
                               stderr=subprocess.PIPE, timeout=58, env=environment())
    assert ended.returncode == 1 and b"No space left" in ended.stderr
