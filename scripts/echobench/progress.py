"""One line on a terminal that says how far a run is and what is left of it. Silent elsewhere."""

import shutil
import time
from typing import TextIO

BAR_WIDTH = 24


class Progress:
    """Redraws its line in place; `clear` takes it away before anything else is written."""

    def __init__(self, stream: TextIO, who: str) -> None:
        self._stream = stream
        self._who = who
        self._shown = stream.isatty()
        self._start = time.monotonic()

    def update(self, what: str, left_s: float) -> None:
        """Shows the time, and what goes on now."""
        if not self._shown:
            return
        line = progress_line(time.monotonic() - self._start, left_s, what)
        self._stream.write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        self._stream.flush()

    def say(self, text: str) -> None:
        """A message that stays, terminal or not."""
        self.clear()
        self._stream.write(f"{self._who}: {text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Leaves the cursor at the start of an empty line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def progress_line(elapsed_s: float, left_s: float, what: str) -> str:
    """A run that takes longer than was thought moves its end, it does not stand at 100 %."""
    left_s = max(0.0, left_s)
    total_s = elapsed_s + left_s
    filled = int(BAR_WIDTH * elapsed_s / total_s) if total_s > 0 else 0
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    return f"[{bar}] {_clock(left_s)} left  {what}"


def _clock(seconds: float) -> str:
    """ "21 s", "3:05 min"."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02} min"
