"""Where the programs are, where results go, and what the commands are called: in the source tree,
and where echobench was installed. There the programs stand beside the command that runs."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parents[1]  # scripts/, or share/echobench/

INSTALLED = _HERE.name != "scripts"
ROOT = _HERE if INSTALLED else _HERE.parent  # bench/peers is in it
PROGRAMS = Path(sys.argv[0]).resolve().parent if INSTALLED else ROOT / "build/release/bin"


def called(name: str) -> str:
    """The command, as it is typed."""
    return f"echobench-{name}" if INSTALLED else f"scripts/{name}"


def new_folder(name: str) -> Path:
    """For the results of an experiment with this name."""
    return Path(name) if INSTALLED else from_here(ROOT / "results/local" / name)


def from_here(path: Path) -> Path:
    """Relative where it can be: what is written down names no place of this machine."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
