"""The commands a newcomer types: their usage, and how missing packages are named and installed."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2]


def run(*command: str | Path, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **({} if path is None else {"PATH": path})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "name", ["quickstart", "experiment", "compare", "report", "chain", "package", "test",
             "lint", "fuzz", "../.ci/run"]
)
def test_help_is_on_stdout(name: str) -> None:
    done = run(SCRIPTS / name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: scripts/")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("quickstart", "--nonsense"),
        ("quickstart", "extra"),
        ("quickstart", "--blocks=0"),
        ("quickstart", "--connections=5x"),
        ("quickstart", "--duration=0.0"),
        ("quickstart", "--warmup=-1"),
        ("quickstart", "--seed="),
        ("quickstart", "--out=/"),
        ("experiment", "--nonsense"),
        ("compare", "/nowhere"),
        ("report", "/nowhere"),
        ("chain", "65"),
        ("package", "--nonsense"),
        ("test", "--fast"),
        ("test", "--only=everything"),
        ("test", "--only"),
        ("lint", "--all"),
        ("fuzz", "--nonsense"),
        ("fuzz", "--seconds=0"),
        ("fuzz", "nothing"),
        ("../.ci/run", "--nonsense"),
    ],
)
def test_bad_usage_is_one_line_that_names_the_option(name: str, option: str) -> None:
    done = run(SCRIPTS / name, option)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert option in done.stderr


class Debian:
    """dpkg-query, apt-get and sudo as stand-ins; apt-get writes down what it was asked for."""

    def __init__(self, directory: Path, installed: str, apt_status: int = 0) -> None:
        self._directory = directory
        self._log = directory / "apt.log"
        known = f'[[ " {installed} " == *" ${{@: -1}} "* ]]'
        self._program("dpkg-query", f"{known} && printf installed")
        self._program("apt-get", f'echo "$@" >> {self._log}; exit {apt_status}')
        self._program("sudo", 'while [[ $1 == -* ]]; do shift; done; exec "$@"')

    def _program(self, name: str, body: str) -> None:
        path = self._directory / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def install(self, packages: str) -> "subprocess.CompletedProcess[str]":
        script = f'source {SCRIPTS}/packages.sh; install_packages tester "{packages}"'
        return run("bash", "-c", script, path=f"{self._directory}:{os.environ['PATH']}")

    def asked_for(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


def test_where_nothing_is_missing_nothing_is_said_or_done(tmp_path: Path) -> None:
    debian = Debian(tmp_path, installed="liba-dev libb-dev")
    done = debian.install("\nliba-dev\nlibb-dev\nshell  bash\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert debian.asked_for() == []


def test_what_is_missing_is_named_and_only_that_is_installed(tmp_path: Path) -> None:
    debian = Debian(tmp_path, installed="liba-dev")
    done = debian.install("\nliba-dev\nlibb-dev\nshell  bash\ntool  no-such-program\n")
    assert done.returncode == 0
    assert done.stderr == "tester: installing with apt-get: libb-dev tool\n"
    update, install = debian.asked_for()
    assert update.endswith(" update")
    assert install.endswith(" install --yes --no-install-recommends libb-dev tool")


def test_a_failed_installation_is_a_failure(tmp_path: Path) -> None:
    done = Debian(tmp_path, installed="", apt_status=100).install("liba-dev")
    assert done.returncode == 1
    assert done.stderr.endswith("tester: apt-get could not install: liba-dev\n")
