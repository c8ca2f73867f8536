"""The interval of one subject's typical value, for figures that show several next to each other.

The median with an interval from order statistics: it asks nothing of the noise's shape. Comparing
is the ratio's affair (`paired`): these intervals also hold what all subjects of a block share, so
they may overlap where a difference is shown.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Typical:
    """A median; low and high are a 95 % interval, or None where there are too few values."""

    value: float
    low: float | None
    high: float | None


def typical_of(values: Sequence[float]) -> Typical:
    """Of at least one value."""
    ordered = sorted(values)
    place = _rank(len(ordered))
    if place is None:
        return Typical(median(ordered), None, None)
    return Typical(median(ordered), ordered[place], ordered[-1 - place])


def _rank(count: int) -> int | None:
    """How many values to leave out at each end: the median lies below the k+1 smallest with the
    probability that a fair coin shows at most k heads."""
    rank, below = None, 0
    for left_out in range(count // 2):
        below += math.comb(count, left_out)
        if 2 * below > 0.05 * 2**count:
            break
        rank = left_out
    return rank
