"""Experiments with a name: what --preset=NAME stands for."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from echobench.plan import Subject, Workload, sweep
from echobench.subjects import backend

PYTHON = "/usr/bin/python3"


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


PRESETS = {"lab": lab, "field": field}


def peers(root: Path, bin_directory: Path) -> list[Subject]:
    """The servers in bench/peers, those that cannot run here too: they are skipped visibly."""
    built, source = bin_directory.parent / "bench/peers", root / "bench/peers"
    node = shutil.which("node") or "node"
    return [
        Subject("libuv", [str(built / "libuv_echo"), "{port}"], needs="libuv1-dev"),
        Subject("libevent", [str(built / "libevent_echo"), "{port}"], needs="libevent-dev"),
        Subject("Boost.Asio", [str(built / "asio_echo"), "{port}"], needs="libboost-dev"),
        Subject("Go", [str(built / "go_echo"), "{port}"], needs="golang-go"),
        Subject("Node", [node, str(source / "node_echo.js"), "{port}"], needs="nodejs"),
        Subject("asyncio", [PYTHON, str(source / "asyncio_echo.py"), "{port}"]),
        Subject("lecture", [PYTHON, str(source / "lecture_echo.py"), "{port}"]),
    ]
