"""Completion, asked for in bash, zsh and fish themselves, of what was made for the build."""

import shutil
from pathlib import Path

import pytest

from installed_commands import BUILD, NAMES, help_of
from shells import SHELLS

COMPLETIONS = BUILD / "packaging/completions"
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")

CASES = {
    "echo-server --backend=": {"epoll", "io_uring", "auto", "poll", "blocking"},
    "echo-server --sandbox=s": {"strict"},
    "echo-server --reu": {"--reuse-port"},
    "loadgen --verify ": {"on", "off"},
    "loadgen --busy-poll=a": {"auto", "always"},
    "loadgen --size=": set(),
    "loadgen -c ": set(),
    "loadgen --json=": {"some.json", "folder"},
    "loadgen --csv so": {"some.json"},
    "loadgen ": set(),
    "echobench-experiment --preset=": {"lab", "field", "scaling"},
    "echobench-experiment --subject=epoll --subj": {"--subject"},
    "echobench-experiment --resume=": {"folder"},
    "echobench-compare ": {"folder"},
    "echobench-compare --metric=p": {"p50", "p99", "p99_9"},
    "echobench-report --out ": {"folder"},
}


@pytest.fixture(params=list(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if shutil.which(name) is None or (name == "bash" and not BASH_COMPLETION.exists()):
        pytest.skip(f"there is no {name} here that completes")
    if not COMPLETIONS.exists():
        pytest.skip("this build makes no completions")
    return name


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the line is typed."""
    (tmp_path / "some.json").touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


def offered(shell: str, line: str, directory: Path) -> set[str]:
    return {each.rstrip("/") for each in SHELLS[shell](COMPLETIONS, line, directory)}


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_offered(shell: str, name: str, directory: Path) -> None:
    expected = {f"--{each.name}" for each in help_of(name).options}
    assert offered(shell, f"{name} --", directory) == expected


@pytest.mark.parametrize("name", NAMES)
def test_values_are_offered(shell: str, name: str, directory: Path) -> None:
    for option in help_of(name).options:
        if option.words():
            line = f"{name} --{option.name}="
            assert offered(shell, line, directory) == set(option.words()), line


@pytest.mark.parametrize("line", CASES)
def test_what_is_meant_is_offered(shell: str, line: str, directory: Path) -> None:
    assert offered(shell, line, directory) == CASES[line]
