"""How much a test tries: enough to fail where something is broken, and with ECHOBENCH_FULL=1
(scripts/test --full) as much as docs/RELIABILITY.md says."""

import os

FULL = os.environ.get("ECHOBENCH_FULL") == "1"


def tries(short: int, full: int) -> int:
    return full if FULL else short
