"""One look for each subject, the same in every figure of every report.

Colours after Okabe and Ito (2008), told apart with every kind of colour vision, and darkened where
they would be faint on white paper; marker and dash say the same without any colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B8609A", "#B98A00", "#3E9BD1", "#7A7A7A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "8")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))

# Those that appear in more than one report have places of their own.
KNOWN = ("epoll", "io_uring", "poll", "blocking", "libuv", "libevent", "Boost.Asio", "Go", "Node",
         "asyncio", "lecture", "plain epoll", "floor", "spinning floor")

Dash = str | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Look:
    """How a subject is drawn."""

    colour: str
    marker: str
    dash: Dash


def looks(subjects: Sequence[str]) -> dict[str, Look]:
    """For each subject; strangers get what the known ones among them leave free."""
    places = {name: KNOWN.index(name) for name in subjects if name in KNOWN}
    free = [place for place in range(len(KNOWN) + len(subjects)) if place not in places.values()]
    for name in subjects:
        if name not in places:
            places[name] = free.pop(0)
    return {name: _look(place) for name, place in places.items()}


def _look(place: int) -> Look:
    return Look(
        COLOURS[place % len(COLOURS)],
        MARKERS[place % len(MARKERS)],
        DASHES[place // len(COLOURS) % len(DASHES)],
    )
