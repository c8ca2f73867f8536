"""What soaks found, as their table shows it and as their record keeps it."""

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from echobench.crowd import Tally
from echobench.measure import utc_now
from echobench.soak import Finding, Plan
from echobench.subjects import BACKENDS


def rows(findings: Sequence[Finding]) -> list[list[str]]:
    """A line for each backend."""
    heading = ["", "minutes", "connections", "messages", "MB checked", "resets", "half-closes",
               "slow", "pauses", "no files", "bytes lost", "descriptors", "memory", "idle CPU"]
    return [heading] + [[
        each.backend, f"{each.seconds / 60:.3g}", str(each.tally.connections),
        str(each.tally.messages), f"{each.tally.bytes_checked / 1e6:.0f}", str(each.tally.resets),
        str(each.tally.half_closes), str(each.tally.slow_readers), str(each.pauses),
        str(each.shortages), str(each.tally.bytes_lost),
        f"{each.descriptors_after - each.descriptors_before:+d}",
        f"{(each.memory_after - each.memory_before) / 1024:+.0f} KiB",
        f"{each.idle_cpu_percent:.2f} %",
    ] for each in findings]


def record(plan: Plan, version: str, findings: Sequence[Finding]) -> dict[str, object]:
    """What --json keeps."""
    only = [] if len(findings) == len(BACKENDS) else [each.backend for each in findings]
    return {"command": ["scripts/soak", f"--minutes={plan.seconds / 60:g}",
                        *[f"--backend={each}" for each in only],
                        f"--connections={plan.connections}", f"--seed={plan.seed}"],
            "ended_at": utc_now(), "version": version, "kernel": platform.release(),
            "soaks": [each.as_json() for each in findings]}


def findings_of(recorded: Mapping[str, Any]) -> list[Finding]:
    """What record() has kept."""
    return [_finding(each) for each in recorded["soaks"]]


def _finding(kept: dict[str, Any]) -> Finding:
    parts: dict[str, Any] = {**kept, "tally": Tally(**kept["tally"])}
    return Finding(**parts)
