"""Numbers as people read them: three significant digits and a unit."""

import math


def duration(nanoseconds: float) -> str:
    """ "412 ns", "4.41 ms", "1.20 s"."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if round_to_three(nanoseconds) >= size:
            return f"{three_digits(nanoseconds / size)} {unit}"
    return f"{three_digits(nanoseconds)} ns"


def rate(per_second: float) -> str:
    """ "980 /s", "112 k/s", "3.40 M/s"."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if round_to_three(per_second) >= size:
            return f"{three_digits(per_second / size)} {unit}/s"
    return f"{three_digits(per_second)} /s"


def three_digits(value: float) -> str:
    """Three significant digits without an exponent; trailing zeros are significant too."""
    rounded = round_to_three(value)
    if rounded == 0:
        return "0"
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


def round_to_three(value: float) -> float:
    """Rounds first, so that the unit is chosen for what will be shown: 999.9 k is 1.00 M."""
    if value == 0:
        return 0.0
    return round(value, 2 - math.floor(math.log10(abs(value))))


def size(in_bytes: float) -> str:
    """ "0 B", "980 B", "7.25 KiB", "1.20 MiB"."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(in_bytes) >= factor:
            return f"{three_digits(in_bytes / factor)} {unit}"
    return f"{in_bytes:.0f} B"
