"""Result sets for tests: made of real results, with the figures that a test asks for."""

import base64
import copy
import json
import math
import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from echobench.measure import Slice
from echobench.plan import Subject, Workload, sweep
from echobench.result_set import SLICES, Manifest, write_manifest
from echobench.topology import Placement

ROOT = Path(__file__).resolve().parents[3]


@lru_cache
def recorded() -> str:
    """One slice of the recorded quickstart."""
    return (ROOT / "results/quickstart/slices.jsonl").read_text(encoding="utf-8").split("\n")[0]


def result(
    messages_per_s: float, *, p99: float | None = 9e6, status: str = "valid", code: str = "",
    connections: int = 500, rate: float | None = None,
) -> dict[str, Any]:
    """loadgen's object with these figures."""
    made: dict[str, Any] = copy.deepcopy(json.loads(recorded())["result"])
    made["throughput"] = {"messages_per_s": messages_per_s, "bytes_per_s": messages_per_s * 64}
    made["latency_ns"].update({"p50": round(500e9 / messages_per_s), "p99": p99})
    made["cpu"]["server"]["ns_per_message"] = 1e9 / messages_per_s
    made["config"].update(
        {"connections": connections, "rate": rate, "mode": "open" if rate else "closed"}
    )
    made["verdict"] = {
        "status": status,
        "reasons": [{"code": code, "message": f"because of {code}"}] if code else [],
    }
    return made


def slice_of(
    subject: str, block: int, messages_per_s: float, workload: str = "500 connections",
    client_exit: int = 0, **more: Any,
) -> Slice:
    """A slice that was measured."""
    return Slice(
        block=block,
        workload=workload,
        subject=subject,
        started_at=f"2024-01-01T00:{block % 60:02}:00Z",
        server_command=["echo-server"],
        client_command=["loadgen"],
        server_exit=0,
        client_exit=client_exit,
        server_stderr="",
        client_stderr="",
        memory={"ready_bytes": 1 << 20, "peak_bytes": (1 << 20) + 4096},
        failure=None,
        result=result(messages_per_s, **more),
    )


def failed(subject: str, block: int, workload: str = "500 connections") -> Slice:
    """A slice that gave no result."""
    return Slice(block, workload, subject, "2024-01-01T00:00:00Z", [], [], None, None, "", "",
                 None, "it did not start\nand said why", None)


def slices_of(subject: str, rates: Sequence[float], **more: Any) -> list[Slice]:
    """A slice in each block."""
    return [slice_of(subject, block, each, **more) for block, each in enumerate(rates)]


def manifest_of(
    subjects: Sequence[str], workloads: Sequence[Workload] | None = None, blocks: int = 8
) -> Manifest:
    """The first subject is the baseline."""
    return Manifest(
        title="A sample",
        command=["scripts/experiment", "--seed=1"],
        started_at="2024-01-01T00:00:00Z",
        finished_at="2024-01-01T01:00:00Z",
        seed=1,
        blocks=blocks,
        max_blocks=blocks,
        until=None,
        duration_s=1.0,
        warmup_s=0.2,
        baseline=subjects[0],
        subjects=[Subject(each, ["echo-server"], own=True) for each in subjects],
        unavailable={},
        workloads=list(workloads or sweep({"connections": [500]})),
        placement=Placement(0, 1, "server on CPU 0, load generator on CPU 1"),
        versions={"loadgen": "loadgen 0.1.0"},
    )


def write(folder: Path, manifest: Manifest, slices: Sequence[Slice]) -> Path:
    """As an experiment leaves it."""
    folder.mkdir(parents=True)
    write_manifest(folder, manifest)
    lines = [json.dumps(asdict(each)) + "\n" for each in slices]
    (folder / SLICES).write_text("".join(lines), encoding="utf-8")
    return folder


def simulated(
    workloads: Sequence[Workload], factors: dict[str, float], blocks: int = 8, seed: int = 1
) -> tuple[Manifest, list[Slice]]:
    """An experiment in which each subject has a speed of its own and 3 % of noise."""
    generator = random.Random(seed)
    slices = []
    for block in range(blocks):
        for workload in workloads:
            for name, factor in factors.items():
                speed = 1e5 * factor * math.exp(generator.gauss(0, 0.03))
                slices.append(slice_of(
                    name, block, speed, workload.name,
                    p99=round(4e11 / speed * math.exp(generator.gauss(0, 0.03))),
                    connections=int(workload.keys.get("connections", 1)),
                    rate=workload.keys.get("rate"),
                ))
    return manifest_of(list(factors), workloads, blocks), slices


def encoded(counts: Sequence[int]) -> str:
    """A histogram as loadgen writes it."""
    payload = bytearray()
    zeros = 0
    for count in [*counts, None]:
        if count == 0:
            zeros += 1
            continue
        if zeros:
            payload += _leb128(2 * zeros - 1 if zeros > 1 else 0)
            zeros = 0
        if count is not None:
            payload += _leb128(2 * count)
    head = struct.pack(">IIIIQQd", 0x1C849313, len(payload), 0, 3, 1, 3_600_000_000_000, 1.0)
    packed = zlib.compress(head + payload)
    return base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed).decode()


def _leb128(value: int) -> bytes:
    out = bytearray()
    for _ in range(8):
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if value == 0:
            return bytes(out)
    return bytes(out) + bytes([value])
