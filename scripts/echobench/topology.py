"""Which CPUs the two sides of a measurement get: two different cores, of the fastest kind.

Hardware threads of one core share its execution units, so a server and a load generator on two of
them slow each other down; and a laptop's efficiency core is no place for either.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SYSFS_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Placement:
    """The CPU for each side; None for both where there is only one to use."""

    server: int | None
    client: int | None
    remark: str


def usable_cpus() -> list[int]:
    """The CPUs that this process may run on, fewer than the machine has under taskset or a cgroup
    cpuset."""
    return sorted(os.sched_getaffinity(0))


def place(cpus: Iterable[int], sysfs: Path = SYSFS_CPUS) -> Placement:
    """Picks the last two cores of the fastest kind: the first ones tend to serve interrupts."""
    ranked = sorted(cpus, key=lambda cpu: (_top_speed(cpu, sysfs), cpu), reverse=True)
    if len(ranked) < 2:
        return Placement(
            None,
            None,
            "one usable CPU: server and load generator share it, unpinned; figures from two "
            "cores are not comparable with these",
        )
    client = ranked[0]
    siblings = _siblings(client, sysfs)
    others = [cpu for cpu in ranked[1:] if cpu not in siblings]
    if not others:
        server = ranked[1]
        remark = f"CPUs {server} and {client} are threads of one core: the sides slow each other"
    else:
        server = others[0]
        remark = f"server on CPU {server}, load generator on CPU {client}"
    return Placement(server, client, remark)


def _top_speed(cpu: int, sysfs: Path) -> int:
    """kHz where cpufreq says it; 0 for all where it does not, as in most virtual machines."""
    try:
        return int((sysfs / f"cpu{cpu}/cpufreq/cpuinfo_max_freq").read_text())
    except (OSError, ValueError):
        return 0


def _siblings(cpu: int, sysfs: Path) -> set[int]:
    """The hardware threads of the CPU's core, itself among them."""
    try:
        text = (sysfs / f"cpu{cpu}/topology/thread_siblings_list").read_text()
        return _parse_cpu_list(text)
    except (OSError, ValueError):
        return {cpu}


def _parse_cpu_list(text: str) -> set[int]:
    """Reads the kernel's form of a set of CPUs: "0-3,8"."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus
