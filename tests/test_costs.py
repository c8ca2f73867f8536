"""What a message and a connection cost in calls, instructions and bytes: no more than was recorded.

These are counts and hardly vary, so a tenth of slack is much; only batches depend on what else the
machine does. results/costs.json has the record, and scripts/costs makes it anew, which is right
where a change is worth what it costs.
"""

import json
import sys
from pathlib import Path

import pytest

from server_process import PROGRAMS, SANITIZER

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from echobench.costs import COSTS, Cost  # noqa: E402
from echobench.costs_command import RECORD, compiler  # noqa: E402

SLACK = 1.1
NOISE = {"": 0.01, " B": 8, " %": 0}  # below which a tenth of it would be nothing


def cases() -> list[object]:
    """Calls are counted in no time; all else takes a while."""
    return [pytest.param(cost, id=cost.name, marks=[] if of_calls(cost) else [pytest.mark.long])
            for cost in COSTS]


def of_calls(cost: Cost) -> bool:
    return cost.what.startswith(("system calls", "waits"))


@pytest.mark.skipif(bool(SANITIZER), reason="sanitizers cost more than what they check")
@pytest.mark.parametrize("cost", cases())
def test_no_more_than_was_recorded(cost: Cost) -> None:
    record = json.loads(RECORD.read_text())
    if "instructions" in cost.what and compiler() != record["compiler"]:
        pytest.skip(f"recorded with {record['compiler']}, this is {compiler()}")
    allowed = SLACK * (cost.worst or record["costs"][cost.name]) + NOISE[cost.unit]
    counted = cost.count(PROGRAMS, cost.backend)
    assert counted <= allowed, f"{cost.name}: {counted:.4g}{cost.unit}, {allowed:.4g} are allowed"
