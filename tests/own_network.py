"""A network of its own for a test that drops packets, kills connections or has few ports: a network
namespace with a loopback device, which ends with the test (network_namespaces(7))."""

import contextlib
import ctypes
import subprocess
from collections.abc import Iterator

import pytest

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


class OwnNetwork:
    """`enter` is for `before_exec` and `preexec_fn`: what is started so is in this network."""

    def __init__(self, holder: int) -> None:
        self.holder = holder

    def enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        for kind, flag in (("user", CLONE_NEWUSER), ("net", CLONE_NEWNET)):
            with open(f"/proc/{self.holder}/ns/{kind}") as namespace:
                if libc.setns(namespace.fileno(), flag) != 0:
                    raise OSError(ctypes.get_errno(), f"setns: {kind} namespace")

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                              preexec_fn=self.enter)

    def run_or_skip(self, *command: str) -> str:
        """Runs what not every kernel can do; its output."""
        try:
            done = self.run(*command)
        except FileNotFoundError:
            pytest.skip(f"there is no {command[0]} here")
        if done.returncode != 0:
            pytest.skip(f"not possible here: {' '.join(command)}: {done.stderr.strip()}")
        return done.stdout


@contextlib.contextmanager
def own_network() -> Iterator[OwnNetwork]:
    """Skips where none can be made. The process that holds it ends with its standard input."""
    command = ["unshare", "--net", "--map-root-user", "sh", "-c",
               "ip link set lo up && echo ready && exec cat"]
    try:
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        pytest.skip("no network namespace can be made here: there is no unshare(1)")
    with holder:
        assert holder.stdout is not None and holder.stdin is not None
        try:
            if holder.stdout.readline() != "ready\n":
                pytest.skip(f"no network namespace can be made here: {holder.communicate()[1]}")
            yield OwnNetwork(holder.pid)
        finally:
            holder.stdin.close()
