"""How the end-to-end tests wait and compare: for a condition and never for a time, and with a
message that tells what was expected and what was seen."""

import time
from collections.abc import Callable

PATIENCE = 20.0  # seconds without an answer after which a test gives up

Buffer = bytes | bytearray | memoryview


def wait_until(condition: Callable[[], bool], expected: Callable[[], str] | str,
               seconds: float = 10) -> None:
    """Returns as soon as `condition` holds. `expected` words the failure; as a function it is
    called at the end, so that it can tell what is there instead."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            text = expected if isinstance(expected, str) else expected()
            raise AssertionError(f"{text} (waited {seconds:g} s)")
        time.sleep(0.005)


def expect_same(received: Buffer, sent: Buffer, who: str = "the stream", at: int = 0) -> None:
    """Fails with the place of the first difference; `at` is where both begin in the stream."""
    if received == sent:
        return
    common = min(len(received), len(sent))
    for offset in range(common):
        if received[offset] != sent[offset]:
            raise AssertionError(
                f"{who}: expected byte {at + offset} to be {sent[offset]:#04x}, "
                f"it came back as {received[offset]:#04x}")
    raise AssertionError(f"{who}: expected {at + len(sent)} bytes, got {at + len(received)}")
