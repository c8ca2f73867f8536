"""Experiments with a name: what --preset=NAME stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from echobench.field import floors, peers
from echobench.plan import Subject, Workload, sweep
from echobench.subjects import backend


@dataclass(frozen=True)
class Preset:
    """What an experiment measures, and for how long."""

    title: str
    subjects: Sequence[Subject]
    baseline: str
    workloads: Sequence[Workload]
    blocks: int
    duration_s: float
    warmup_s: float


def lab(root: Path, bin_directory: Path, quick: bool) -> Preset:
    """For a course: what each step from the lecture's loop to io_uring brings, and where."""
    names = ("blocking", "poll", "epoll", "io_uring")
    return Preset(
        title="From the lecture's server to io_uring",
        subjects=[backend(name, bin_directory) for name in names],
        baseline="blocking",
        workloads=sweep({"connections": [1, 10, 100, 1000]}),
        blocks=6 if quick else 20,
        duration_s=0.3 if quick else 1.2,
        warmup_s=0.1 if quick else 0.3,
    )


def field(root: Path, bin_directory: Path, quick: bool) -> Preset:
    """Ours beside the same echo written the usual way on the libraries that people use."""
    return Preset(
        title="The field: one echo, many libraries",
        subjects=[
            *(backend(name, bin_directory) for name in ("epoll", "io_uring", "poll", "blocking")),
            *peers(root, bin_directory),
        ],
        baseline="epoll",
        workloads=[
            *sweep({"connections": [1, 100]}),
            *sweep({"connections": [100], "pipeline": [16]}),
            *sweep({"connections": [8], "message_size": [65536]}),
        ],
        blocks=6 if quick else 15,
        duration_s=0.3 if quick else 1.0,
        warmup_s=0.1 if quick else 0.3,
    )


def scaling(root: Path, bin_directory: Path, quick: bool) -> Preset:
    """The engines from one connection to as many as a process may have, from a byte to a MiB, and
    with many messages under way: beside the floor, and beside who is fastest of the field."""
    fastest = ("plain epoll", "libuv", "libevent", "Boost.Asio")
    return Preset(
        title="The engines beside the floor",
        subjects=[
            backend("epoll", bin_directory),
            backend("io_uring", bin_directory),
            *floors(bin_directory),
            *(each for each in peers(root, bin_directory) if each.name in fastest),
        ],
        baseline="epoll",
        workloads=[
            *sweep({"connections": [1, 10, 100, 500, 2000, 19000]}),
            *sweep({"connections": [50], "pipeline": [1, 4, 16, 64]}),
            *sweep({"connections": [4], "message_size": [1, 1024, 16384, 65536, 1 << 20]}),
        ],
        blocks=6 if quick else 12,
        duration_s=0.3 if quick else 0.6,
        warmup_s=0.1 if quick else 0.2,
    )


PRESETS = {"lab": lab, "field": field, "scaling": scaling}
