"""One line on a terminal that says how far a run is: elapsed of total. Silent elsewhere."""

import shutil
import time
from typing import TextIO

BAR_WIDTH = 24


class Progress:
    """Redraws its line in place; `clear` takes it away before anything else is written."""

    def __init__(self, stream: TextIO, total_s: float) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._total_s = total_s
        self._start = time.monotonic()

    def update(self, what: str) -> None:
        """Shows the time, and what goes on now."""
        if not self._shown:
            return
        elapsed = time.monotonic() - self._start
        line = progress_line(elapsed, self._total_s, what)
        self._stream.write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        self._stream.flush()

    def clear(self) -> None:
        """Leaves the cursor at the start of an empty line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def progress_line(elapsed_s: float, total_s: float, what: str) -> str:
    """A run that takes longer than was thought moves its end, it does not stand at 100 %."""
    total_s = max(total_s, elapsed_s)
    filled = int(BAR_WIDTH * elapsed_s / total_s) if total_s > 0 else 0
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    return f"[{bar}] {elapsed_s:.0f} s of {total_s:.0f} s  {what}"
