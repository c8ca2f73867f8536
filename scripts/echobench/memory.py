"""How much memory a server holds for itself, as the kernel counts it.

Anonymous and shared pages in RAM (RssAnon, RssShmem in /proc/PID/status, proc(5)): heap, stacks,
rings. Pages of the program's file are left out: they come in as code is used for the first time.
What sockets cost inside the kernel is nobody's here.
"""

from pathlib import Path

PROC = Path("/proc")


def resident_bytes(pid: int, proc: Path = PROC) -> int | None:
    """Of the process and all its descendants; None where it is gone or says nothing."""
    own = _of_one(proc / str(pid) / "status")
    if own is None:
        return None
    return own + sum(resident_bytes(child, proc) or 0 for child in children_of(pid, proc))


def _of_one(status: Path) -> int | None:
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return sum(int(fields[name].split()[0]) << 10 for name in ("RssAnon", "RssShmem"))
    except (OSError, KeyError, ValueError):
        return None


def children_of(pid: int, proc: Path = PROC) -> list[int]:
    """The processes that it has started and that still run."""
    try:
        return [int(child) for task in (proc / str(pid) / "task").iterdir()
                for child in (task / "children").read_text().split()]
    except (OSError, ValueError):
        return []
