"""scripts/package: the same bytes wherever it is built, and nothing lintian warns of. In a root
with a minimal Debian, what it installs does what its pages show, and goes without a trace."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from console_blocks import Shell, commands_of
from installed_commands import NAMES, PAGES
from mpi_job import AS_ROOT
from server_process import PROGRAMS, ROOT

pytestmark = pytest.mark.long

SUITE = "bookworm"
# What changes because dpkg was used at all, and what the kernel shows.
NOT_OURS = re.compile(r"/(var/(lib|log|cache)/(dpkg|apt|ldconfig|debconf)|proc|sys|dev|tmp)/|"
                      r"/var/log/|/etc/ld\.so\.cache")


def run(*command: str | Path, **settings: object) -> str:
    """Its output; fails with both of its outputs where it does."""
    ended = subprocess.run([str(each) for each in command], text=True, check=False,
                           stdin=subprocess.DEVNULL, capture_output=True,
                           **settings)  # type: ignore[call-overload]
    assert ended.returncode == 0, f"{command}: {ended.stdout}\n{ended.stderr}"
    return str(ended.stdout)


def build(tree: Path) -> dict[str, Path]:
    """The packages by name."""
    made = run(tree / "scripts/package", "--no-install").split()
    return {Path(each).name.partition("_")[0]: tree / each for each in made}


@pytest.fixture(scope="module")
def packages() -> dict[str, Path]:
    if PROGRAMS.resolve() != ROOT / "build/release/bin":
        pytest.skip("packages are made of this tree, in build/package")
    return build(ROOT)


def test_same_bytes_elsewhere(packages: dict[str, Path], tmp_path: Path) -> None:
    elsewhere = tmp_path / "a longer way/to another tree"
    shutil.copytree(ROOT, elsewhere, ignore=shutil.ignore_patterns("build", "__pycache__"))
    others = build(elsewhere)
    assert set(others) == set(packages)
    for name, package in packages.items():
        assert package.read_bytes() == others[name].read_bytes(), (
            f"diffoscope {package} {others[name]}")
    shutil.rmtree(elsewhere)  # pytest would keep it


def test_version_is_the_programs(packages: dict[str, Path]) -> None:
    printed = run(ROOT / "build/package/bin/loadgen", "--version").split()
    for package in packages.values():
        assert run("dpkg-deb", "--field", package, "Version").strip() == printed[1]


def test_lintian_finds_no_error(packages: dict[str, Path]) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not there")
    run("lintian", "--profile=debian", "--fail-on=error,warning", "--allow-root",
        *packages.values())


@pytest.fixture(scope="module")
def minimal_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A minimal Debian, and the host's way to reach others."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("this wants root, and debootstrap")
    root: Path = tmp_path_factory.mktemp("minimal") / "root"
    run("debootstrap", "--variant=minbase", SUITE, root)
    yield root
    shutil.rmtree(root)  # pytest would keep it


def files(root: Path) -> set[str]:
    """What is there, without what is not ours."""
    every = {f"/{each.relative_to(root)}" + ("/" if each.is_dir() and not each.is_symlink() else "")
             for each in root.rglob("*")}
    return {each for each in every if not NOT_OURS.search(each)}


def names_of(packages: dict[str, Path]) -> list[str]:
    """In one command of dpkg's, as seen from inside."""
    return [f"/tmp/{each.name}" for each in packages.values()]


@pytest.fixture
def installed(minimal_root: Path, packages: dict[str, Path]) -> Iterator[Path]:
    """With the packages; and when the test is over, without them and what they brought."""
    chroot = ["chroot", str(minimal_root), "env", "DEBIAN_FRONTEND=noninteractive"]
    depends = [run("dpkg-deb", "--field", each, "Depends").strip() for each in packages.values()]
    run(*chroot, "apt-get", "update")
    run(*chroot, "apt-get", "satisfy", "--yes", "--no-install-recommends", *depends)
    before = files(minimal_root)
    for package in packages.values():
        shutil.copy(package, minimal_root / "tmp")
    run(*chroot, "dpkg", "--install", *names_of(packages))
    brought = files(minimal_root) - before
    assert "/usr/bin/echo-server" in brought
    yield minimal_root
    run(*chroot, "dpkg", "--purge", *packages)
    after = files(minimal_root)
    assert after == before, f"left behind: {after - before}; gone: {before - after}"


@pytest.fixture
def shell(installed: Path) -> Iterator[Shell]:
    """Inside, in a network and among processes of its own."""
    inside = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
              f"ip link set lo up && mount -t proc proc '{installed}/proc' && "
              f"exec chroot '{installed}' \"$@\"", "sh"]
    own = Shell(installed, {"HOME": "/tmp", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **AS_ROOT},
                inside)
    yield own
    own.close()


def examples(name: str) -> list[str]:
    """The commands of a page, as written."""
    page = (PAGES / f"{name}.1.scd").read_text()
    section = page.partition("# EXAMPLES\n")[2].partition("\n# ")[0]
    return [each.typed for each in commands_of(section.replace("```\n$", "```console\n$"))]


def test_examples_run_where_nothing_else_is(shell: Shell) -> None:
    for name in NAMES:
        shell.type(f"mkdir /tmp/{name} && cd /tmp/{name}")
        for command in examples(name):
            # Without the shell's input, which mpirun would read.
            said = shell.type(f"{{ {command}\n}} < /dev/null; status=$?")
            # 3: whether figures hold is the machine's affair.
            assert shell.type("echo $status") in (["0"], ["3"]), f"{name}: {command}: {said}"
            if command.endswith("&"):
                listening = [each for each in said if each.startswith("listening on ")]
                assert listening, f"{name}: {command}: {said}"
        shell.type("kill $(jobs -p); wait")
