"""The behaviour suite, file by file, once more: for what is set for all servers of a run."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from server_process import PROGRAMS

SUITE = ["test_echo.py", "test_half_close.py", "test_backpressure.py", "test_connections.py",
         "test_signals.py", "test_limits.py", "test_relay.py", "test_signing.py", "test_uring.py"]


def run_suite(file: str, *options: str, environment: Mapping[str, str]) -> str:
    """Runs the file's short tests in a process of their own; what pytest printed."""
    ended = subprocess.run(
        ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, file],
        cwd=Path(__file__).resolve().parent, capture_output=True, text=True, timeout=1100,
        check=False, env={**os.environ, "ECHOBENCH_BIN": str(PROGRAMS), "ECHOBENCH_FULL": "0",
                          **environment})
    assert ended.returncode == 0, ended.stdout[-5000:]
    return ended.stdout
