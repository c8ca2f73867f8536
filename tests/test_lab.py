"""docs/LAB.md: every command works as written, and prints what the sheet says.

It is typed into a host of its own (a network and a mount namespace), so that its ports are free."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from console_blocks import Shell, alike, commands_of
from server_process import PROGRAMS

ROOT = Path(__file__).resolve().parents[1]
SHEET = ROOT / "docs/LAB.md"


@pytest.fixture
def shell() -> Iterator[Shell]:
    if PROGRAMS.resolve() != ROOT / "build/release/bin":
        pytest.skip("the sheet is about the release build, and builds it")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("namespaces need root, and ip from iproute2")
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True,
                           check=False)
    if tried.returncode != 0:
        pytest.skip(f"no namespaces here: {tried.stderr.strip()}")
    kept = set((ROOT / "results/local").glob("*"))
    own = Shell(ROOT, os.environ, ["unshare", "--net", "--mount"])
    yield own
    own.close()
    for made in set((ROOT / "results/local").glob("*")) - kept:
        shutil.rmtree(made)


@pytest.mark.long
def test_sheet_is_true(shell: Shell) -> None:
    commands = commands_of(SHEET.read_text())
    assert len(commands) > 25
    shell.type("mount -t tmpfs none /run/netns || { mkdir /run/netns && "
               "mount -t tmpfs none /run/netns; }; ip link set lo up")
    for command in commands:
        printed = shell.type(command.typed)
        # Of what runs side by side, each line is what counts, not the order.
        expected = sorted(map(alike, command.printed))
        assert sorted(map(alike, printed)) == expected, (
            f"line {command.first_line + 1}: {command.typed}\nprinted {printed}")
