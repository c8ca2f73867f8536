"""What a fault test tried and what was lost: a line of JSON each in the file that
ECHOBENCH_EVIDENCE names, if it names one. docs/RELIABILITY.md is made of these lines."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from scale import FULL
from server_process import SANITIZER

Evidence = Callable[..., None]


def record(fault: str, test: str, backend: str, figures: dict[str, int | float]) -> None:
    """`fault`: a row of the table. `figures`: what was tried and seen, by its name."""
    path = os.environ.get("ECHOBENCH_EVIDENCE")
    if not path:
        return
    line = {"fault": fault, "test": test, "backend": backend, "sanitizer": SANITIZER,
            "full": FULL, "figures": figures}
    with Path(path).open("a") as file:
        file.write(json.dumps(line) + "\n")
