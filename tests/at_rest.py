"""What holds of a server whatever was done to it: nothing that was a connection's is left, it
sleeps when there is nothing to do, and it has not said the same thing over and over."""

import re
import time
from collections import Counter

from expect import wait_until
from server_process import SANITIZER, EchoServer

MIB = 1 << 20
SPINNING = 0.2  # of one CPU: an order of magnitude more than waiting costs
STACKS_KEPT = 16 << 10  # bytes a thread, of as many as there were at once: libc keeps them


def cpu_share(server: EchoServer, seconds: float) -> float:
    """CPU time per time over a stretch of waiting."""
    start, used = time.monotonic(), server.cpu_seconds()
    time.sleep(seconds)
    return (server.cpu_seconds() - used) / (time.monotonic() - start)


def expect_asleep(server: EchoServer, when: str, seconds: float = 0.3) -> None:
    share = cpu_share(server, seconds)
    assert share < SPINNING, f"expected the server to sleep {when}, it uses {share:.0%} of a CPU"


class Baseline:
    """A server with nobody connected, to compare with when nobody is connected again. It should
    have served as many at once before: tables grow to that size and stay so."""

    def __init__(self, server: EchoServer, at_once: int = 0) -> None:
        self.server = server
        self.fds = server.fds()
        self.memory = server.resident_bytes()
        self.allowed = MIB + (at_once * STACKS_KEPT if server.backend == "blocking" else 0)
        self.said = len(server.stderr())
        self.began = time.monotonic()

    def expect_again(self) -> None:
        self.server.await_fds(self.fds)
        self.expect_few_words()
        if SANITIZER:
            return
        wait_until(lambda: self.grown() <= self.allowed,
                   lambda: f"expected the memory of the server to be what it was, it grew by "
                           f"{self.grown() >> 10} KiB")

    def grown(self) -> int:
        return self.server.resident_bytes() - self.memory

    def expect_few_words(self) -> None:
        """Each thing at most once a second, but for the counters, which were asked for."""
        elapsed = time.monotonic() - self.began
        lines = self.server.stderr()[self.said:].splitlines()
        things = Counter(re.sub(r"\d+", "N", line) for line in lines if " open=" not in line)
        for thing, times in things.items():
            assert times <= elapsed + 1, (
                f"expected it to be said once a second at most, in {elapsed:.1f} s it was said "
                f"{times} times: {thing!r}")
