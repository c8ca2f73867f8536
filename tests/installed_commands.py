"""The commands that get installed, each with a page (docs/man), and what they say of themselves."""

import functools
import subprocess
import sys
from pathlib import Path

from server_process import PROGRAMS, ROOT, environment

sys.path.insert(0, str(ROOT / "packaging"))
from help_text import Help, parse  # noqa: E402

BUILD = PROGRAMS.parent
PAGES = BUILD / "packaging/man"  # as configured: of what is built
NAMES = sorted(page.name.removesuffix(".1.scd") for page in PAGES.glob("*.1.scd"))


def command(name: str) -> Path:
    """In the source tree."""
    script = name.removeprefix("echobench-")
    return PROGRAMS / name if script == name else ROOT / "scripts" / script


@functools.cache
def help_text(name: str) -> str:
    return subprocess.run([command(name), "--help"], capture_output=True, text=True, check=True,
                          timeout=30, env={**environment(), "COLUMNS": "80"}).stdout


def help_of(name: str) -> Help:
    return parse(help_text(name))
