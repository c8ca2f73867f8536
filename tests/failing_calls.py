"""System calls that fail on purpose: strace(1) has them return an error instead of being made."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from expect import wait_until

INJECTED = "(INJECTED)"


def needs_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    seen = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True,
                          timeout=30, check=False)
    if seen.returncode != 0:
        pytest.skip(f"strace may not trace here: {seen.stderr.strip()}")


def is_traced(task: int) -> bool:
    """Or has ended already, of what was injected: a call in which it slept is begun again."""
    try:
        status = Path(f"/proc/{task}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    found = re.search(r"^TracerPid:\s*(\d+)$", status, re.MULTILINE)
    return found is not None and found[1] != "0"


@contextmanager
def failing(task: int, call: str, error: str, log: Path,
            when: str = "1") -> Iterator[Callable[[], int]]:
    """While this lasts, the `call`s of one thread that `when` names (strace(1): "1", "2+3", "1..3")
    end with `error`. Gives a function that tells how many have."""
    def injected() -> int:
        return log.read_text().count(INJECTED) if log.exists() else 0

    with subprocess.Popen(["strace", "-o", str(log), "-e", f"trace={call}", "-e",
                           f"inject={call}:error={error}:when={when}", "-p", str(task)],
                          stderr=subprocess.PIPE, text=True) as tracer:
        wait_until(lambda: is_traced(task) or tracer.poll() is not None,
                   "expected strace to attach")
        try:
            yield injected
        finally:
            tracer.send_signal(signal.SIGTERM)
            _, complaints = tracer.communicate(timeout=30)
    assert "attached" in complaints, f"expected strace to attach, it said {complaints!r}"
