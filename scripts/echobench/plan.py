"""What is decided before anything is measured: who, under which load, in which order.

Every subject is measured once in each block and workload. Slices that will be divided by each other
stand next to each other in time; their order is random, which is what makes the comparison exact
(see `paired`), and each block's order follows from the seed and its number alone, so an experiment
can be continued and repeated.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from echobench.quantity import three_digits

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._+:,@()=-]{0,62}[A-Za-z0-9)+])?")
NAME_RULE = "1 to 64 letters, digits, spaces and ._+:,@()=-"

# The workload's keys that are loadgen's; every other key is the subjects' affair ({key} in their
# command), as `hops` of a chain.
LOADGEN_OPTIONS = {
    "connections": "--connections",
    "message_size": "--size",
    "pipeline": "--pipeline",
    "rate": "--rate",
}
DEFAULTS: Mapping[str, float] = {"connections": 1, "message_size": 64, "pipeline": 1}


@dataclass(frozen=True)
class Subject:
    """What is measured: a command that starts a server.

    One of echo-server's own is told its port with --port=0 and says which it got; in any other
    command {port} stands for one that is free.
    """

    name: str
    command: list[str]
    own: bool = False
    needs: str = ""  # what to say where the command's program is not there
    client: list[str] = field(default_factory=list)  # loads it in loadgen's place, as loadgen


@dataclass(frozen=True)
class Workload:
    """A load: the keys that distinguish it, and loadgen options that have no key."""

    keys: Mapping[str, float]
    client_options: list[str] = field(default_factory=list)
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", describe(self.keys, self.client_options))

    def options(self) -> list[str]:
        """What loadgen is told."""
        told = [
            f"{option}={_plain(self.keys[key])}"
            for key, option in LOADGEN_OPTIONS.items()
            if key in self.keys
        ]
        return told + list(self.client_options)

    @property
    def open_loop(self) -> bool:
        """Whether messages are sent by a schedule; throughput is given then, and not a result."""
        return "rate" in self.keys


def sweep(
    keys: Mapping[str, Sequence[float]], client_options: Sequence[str] = ()
) -> list[Workload]:
    """A workload for each combination of the values."""
    combinations = product(*keys.values())
    return [Workload(dict(zip(keys, values)), list(client_options)) for values in combinations]


def block_order(
    subjects: Sequence[str], workloads: Sequence[str], seed: int, block: int
) -> list[tuple[str, str]]:
    """The block's slices as (workload, subject) in the order in which they are measured."""
    for names in (subjects, workloads):
        if len(set(names)) != len(names):
            raise ValueError("different things need different names")
    generator = random.Random(f"{seed} {block}")
    return [
        (workload, subject)
        for workload in generator.sample(workloads, k=len(workloads))
        for subject in generator.sample(subjects, k=len(subjects))
    ]


def describe(keys: Mapping[str, float], client_options: Sequence[str] = ()) -> str:
    """A name for people: "500 connections, 1 KiB, pipeline 16"."""
    full = {**DEFAULTS, **keys}
    parts = [f"{_plain(full['connections'])} connection{'s' * (full['connections'] != 1)}"]
    if full["message_size"] != 64:
        parts.append(_bytes(full["message_size"]))
    if full["pipeline"] != 1:
        parts.append(f"pipeline {_plain(full['pipeline'])}")
    if "rate" in full:
        parts.append(f"{_per_second(full['rate'])}")
    for key, value in keys.items():
        if key not in LOADGEN_OPTIONS:
            parts.insert(0, f"{_plain(value)} {key[:-1] if value == 1 and key[-1] == 's' else key}")
    parts += [option.lstrip("-") for option in client_options]
    return re.sub(r"[^A-Za-z0-9 ._+:,@()=-]", "_", ", ".join(parts))[:64].rstrip(" ,")


def _plain(value: float) -> str:
    return f"{value:g}" if value != int(value) else str(int(value))


def _bytes(size: float) -> str:
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{_plain(size / factor)} {unit}"
    return f"{_plain(size)} B"


def _per_second(rate: float) -> str:
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if rate >= factor:
            return f"{_trimmed(rate / factor)} {unit} per s"
    return f"{_trimmed(rate)} per s"


def _trimmed(value: float) -> str:
    text = three_digits(value)
    return text.rstrip("0").rstrip(".") if "." in text else text
