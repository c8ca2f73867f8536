"""What the fault tests tried and what was lost, as docs/RELIABILITY.md shows it.

A fault test ends with a line of figures (tests/evidence.py), once for each backend and build.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

# In the order in which they are told.
FAULTS = (
    "slow reader",
    "half-close",
    "reset in mid-message",
    "EMFILE/ENFILE",
    "ENOMEM, ENOBUFS",
    "connection limit",
    "idle peers, dribblers",
    "signals",
    "the server dies or restarts",
    "backlog overflow",
    "io_uring missing or forbidden",
    "buffers or completion queue run out",
    "packet loss, slow link",
    "lying peers",
    "command line",
    "output",
    "stdout closed",
    "Ctrl-C",
    "clock step",
)

Figure = int | float


@dataclass(frozen=True)
class Evidence:
    """One line: a test of a fault, on one backend and build, with what it tried and saw."""

    fault: str
    test: str
    backend: str
    sanitizer: str
    full: bool
    figures: dict[str, Figure] = field(default_factory=dict)

    @property
    def build(self) -> str:
        """As the presets are called."""
        return {"address": "dev", "thread": "tsan"}.get(self.sanitizer, "release")

    @property
    def function(self) -> str:
        """The test's file and function, without what it was run with."""
        return self.test.partition("[")[0]


def table(lines: Sequence[Evidence]) -> list[list[str]]:
    """A row for each fault, test and build: whole numbers are added over the backends, of others
    the worst is told."""
    groups: dict[tuple[int, str, str, str], list[Evidence]] = {}
    for each in lines:
        order = FAULTS.index(each.fault) if each.fault in FAULTS else len(FAULTS)
        groups.setdefault((order, each.fault, each.function, each.build), []).append(each)
    rows = [["fault", "test", "build", "on", "tried, and seen"]]
    for key in sorted(groups, key=lambda one: one[:3] + (one[3] != "release",)):
        _, fault, function, build = key
        group = groups[key]
        backends = list(dict.fromkeys(each.backend for each in group if each.backend))
        rows.append([fault, function.rpartition("::")[2], build, ", ".join(backends) or "-",
                     _words(_together(group))])
    return rows


def _together(group: Sequence[Evidence]) -> dict[str, Figure]:
    together: dict[str, Figure] = {}
    for each in group:
        for name, figure in each.figures.items():
            if isinstance(figure, int):
                together[name] = together.get(name, 0) + figure
            else:
                together[name] = max(together.get(name, figure), figure)
    return together


def _words(figures: dict[str, Figure]) -> str:
    """ "1,000 clients, 0 bytes lost"."""
    return ", ".join(
        f"{figure:,} {name.replace('_', ' ')}" if isinstance(figure, int)
        else f"{name.replace('_', ' ')} {figure:.3g}"
        for name, figure in figures.items()
    )
