"""cmake --install: what is installed works in any place, and does not tell where it was built."""

import re
import subprocess
from pathlib import Path

import pytest

from installed_commands import BUILD, NAMES
from server_process import ROOT, environment

PROGRAMS = ["echo-server", "loadgen", "echo-client"]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (BUILD / "cmake_install.cmake").exists():
        pytest.skip(f"{BUILD} is no build tree")
    made: Path = tmp_path_factory.mktemp("root") / "a prefix"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", made], check=True,
                   capture_output=True, timeout=120)
    return made


def files(prefix: Path) -> set[str]:
    return {str(path.relative_to(prefix)) for path in prefix.rglob("*") if not path.is_dir()}


def test_each_command_comes_with_its_page_and_completions(prefix: Path) -> None:
    installed = files(prefix)
    commands = {each.removeprefix("bin/") for each in installed if each.startswith("bin/")}
    assert commands == set(NAMES) and "echobench-experiment" in commands
    for name in commands:
        assert {f"share/man/man1/{name}.1.gz",
                f"share/bash-completion/completions/{name}",
                f"share/zsh/site-functions/_{name}",
                f"share/fish/vendor_completions.d/{name}.fish"} <= installed
    assert {"share/echobench/schema.json", "share/doc/echobench/README.md",
            "share/doc/echobench/docs/MEASURING.md", "share/doc/echobench/SECURITY.md",
            "share/doc/echobench/LICENSE"} <= installed
    assert not [each for each in installed if "/tests/" in each or each.endswith(".scd")]


def test_nothing_tells_where_it_was_built(prefix: Path) -> None:
    for name in files(prefix):
        content = (prefix / name).read_bytes()
        for place in (ROOT, BUILD):
            assert str(place).encode() not in content, f"{name} has {place}"
    for program in PROGRAMS:
        dynamic = subprocess.run(["readelf", "--dynamic", prefix / "bin" / program], text=True,
                                 capture_output=True, check=True).stdout
        assert not re.search(r"\(R(UN)?PATH\)", dynamic), dynamic


def test_commands_find_what_they_need(prefix: Path, tmp_path: Path) -> None:
    """The programs beside the command, by a link to it too; and they write nothing there."""
    before = files(prefix)
    usual = {**environment(), "PATH": "/usr/bin:/bin"}
    usual.pop("PYTHONDONTWRITEBYTECODE", None)
    link = tmp_path / "measure"
    link.symlink_to(prefix / "bin/echobench-experiment")
    commands: list[list[str | Path]] = [
        [link, "--subject=epoll", "--subject=lecture", "--connections=2", "--blocks=1",
         "--duration=0.2", "--warmup=0.1"],
        [prefix / "bin/echobench-chain", "2", "--hops=none"],
    ]
    for command in commands:
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=50,
                               env=usual)
        # Whether figures hold is not for now: 3.
        assert ended.returncode in (0, 3), ended.stderr
    assert "hello > alice > bob" in ended.stdout
    (results,) = tmp_path.glob("experiment-*")
    for name in ("report", "compare"):
        subprocess.run([prefix / "bin" / f"echobench-{name}", results], check=True,
                       capture_output=True, cwd=tmp_path, timeout=50, env=usual)
    assert "echobench-experiment --subject=epoll" in (results / "report.md").read_text()
    assert files(prefix) == before


def test_gnu_directories_are_honoured(tmp_path: Path) -> None:
    """Configured for other directories, nothing would go into the usual ones."""
    asked = {"BINDIR": "commands", "DATADIR": "data", "DATAROOTDIR": "root", "MANDIR": "pages",
             "DOCDIR": "words"}
    subprocess.run(["cmake", "-S", ROOT, "-B", tmp_path, "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                    "-DECHOBENCH_TESTS=OFF",
                    *(f"-DCMAKE_INSTALL_{each}={place}" for each, place in asked.items())],
                   check=True, capture_output=True, timeout=120)
    rules = (tmp_path / "packaging/cmake_install.cmake").read_text()
    places = set(re.findall(r'DESTINATION "\$\{CMAKE_INSTALL_PREFIX\}/([^"/]+)', rules))
    # Debian's own files are not installed but packed; where systemd looks is not for us to say.
    assert places == {"commands", "data", "pages", "words", "root", "lib"}
    wrapper = (tmp_path / "packaging/echobench-compare").read_text()
    assert '"../data/echobench"' in wrapper
