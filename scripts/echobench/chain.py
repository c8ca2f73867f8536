"""scripts/chain: Task 2 on one machine, and what the length of a chain costs.

A chain of N is N-1 relays and an echo. With signatures it shows the way of one message; without,
the load generator measures the round trip through it, one message at a time. The nodes do not spin
while they wait: they are more than the CPUs, and each would take the next one's.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from echobench import result_set
from echobench.command_line import Parser
from echobench.experiment_command import repeating_command
from echobench.measure import (
    RESULT_DOES_NOT_HOLD,
    UNAVAILABLE,
    CannotMeasure,
    Setup,
    Slice,
    Unavailable,
    check_available,
    run_slice,
    utc_now,
)
from echobench.plan import Subject, Workload, block_order, sweep
from echobench.processes import Interrupted, Program, raise_on_signals
from echobench.progress import Progress
from echobench.result_set import Manifest
from echobench.topology import Placement
from echobench.whereabouts import INSTALLED, PROGRAMS, called, from_here, new_folder

LONGEST = 64
READY_TIMEOUT_S = 20.0
CLIENT_GRACE_S = 30.0
WARMUP_S = 0.1
SEED = 1  # of the order of the lengths
NAMES = ("alice bob carol dave erin frank grace heidi ivan judy kim leo mallory nina oscar peggy "
         "quinn rupert sybil trent uma victor walter xena yuri zoe").split()

DESCRIPTION = """\
Starts a chain of N nodes on loopback, N-1 relays and an echo, that all sign; sends a message
through it and prints what comes back. Then measures the round trip through chains of several
lengths, and ends everything that it started."""

EPILOG = """\
Exit status: 0 fine; 1 could not run or finish; 2 usage; 3 the message came back changed, or a
measurement does not hold; 4 the backend is not available here; 130 interrupted."""


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    length: int
    message: str
    backend: str
    hops: list[int]
    rounds: int
    duration_s: float
    out: Path
    bin: Path


def parse_plan(arguments: Sequence[str]) -> tuple[Plan, bool]:
    """Reads the command line, and whether to check it only; ends the program with status 2 where
    it is wrong."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    parser = Parser(prog="chain", allow_abbrev=False, usage=f"{called('chain')} N [OPTION]...",
                    description=DESCRIPTION,
                    epilog=("" if INSTALLED else "The wrapper takes --no-install too.\n") + EPILOG)
    parser.add_argument("length", metavar="N", type=_length, help="nodes, 1 to 64")
    parser.add_argument("--message", default="hello", type=_line, metavar="TEXT",
                        help="what to send (hello)")
    parser.add_argument("--backend", default="epoll", choices=["epoll", "io_uring", "poll"],
                        help="of every node (epoll)")
    parser.add_argument("--hops", type=_lengths, default=[1, 2, 4, 8, 16], metavar="N,...",
                        help="the lengths to measure; none to measure nothing (1,2,4,8,16)")
    parser.add_argument("--rounds", type=_count, default=5, metavar="N",
                        help="times that each length is measured, in random order (5)")
    parser.add_argument("--duration", type=_seconds, default=0.5, metavar="S",
                        help="seconds that each takes (0.5)")
    parser.add_argument("--out", type=Path, default=new_folder(f"chain-{stamp}"), metavar="DIR",
                        help="where the results go (a new folder, chain-TIME)")
    parser.add_argument("--bin", type=Path, default=PROGRAMS, metavar="DIR",
                        help="where echo-server, echo-client and loadgen are")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if parsed.out.exists():
        parser.error(f"argument --out: {parsed.out} exists already")
    plan = Plan(
        length=parsed.length,
        message=parsed.message,
        backend=parsed.backend,
        hops=parsed.hops,
        rounds=parsed.rounds,
        duration_s=parsed.duration,
        out=parsed.out,
        bin=parsed.bin,
    )
    return plan, parsed.check


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= LONGEST):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of nodes from 1 to {LONGEST}")
    return int(text)


def _lengths(text: str) -> list[int]:
    return [] if text == "none" else [_length(each) for each in text.split(",")]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 1000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.01 to 60")
    return value


def _line(text: str) -> str:
    if not text or "\n" in text:
        raise argparse.ArgumentTypeError("one line is needed")
    return text


# ---- the nodes


def name_of(number: int) -> str:
    """Of the node with this number, counted from 0."""
    return NAMES[number] if number < len(NAMES) else f"node{number + 1}"


def node_command(plan: Plan, number: int, next_hop: str | None, sign: bool) -> list[str]:
    """The node with this number; the last one has no next hop, it echoes."""
    command = [str(plan.bin / "echo-server"), "--port=0", f"--backend={plan.backend}"]
    command.append("--busy-poll=off")
    if sign:
        command.append(f"--sign={name_of(number)}")
    if next_hop is not None:
        command.append(f"--relay={next_hop}")
    return command


@contextlib.contextmanager
def running(plan: Plan, first: int, length: int, sign: bool) -> Iterator[str | None]:
    """The nodes from number `first` to the end of the chain; where to reach them, None where there
    are none. Each is started after the one that it relays to."""
    next_hop: str | None = None
    with contextlib.ExitStack() as nodes:
        for number in reversed(range(first, length)):
            command = node_command(plan, number, next_hop, sign)
            node = nodes.enter_context(Program(command, stdout_pipe=True))
            line = node.first_line(READY_TIMEOUT_S) or ""
            if not line.startswith("listening on "):
                raise CannotMeasure(f"{' '.join(command)} does not listen: {node.stderr().strip()}")
            next_hop = line.split()[2]
        yield next_hop


# ---- what is done with them


def send_through(plan: Plan) -> tuple[str, str]:
    """What comes back through a signed chain, and what should."""
    with running(plan, 0, plan.length, True) as address:
        assert address is not None
        done = subprocess.run(
            [str(plan.bin / "echo-client"), address, plan.message],
            capture_output=True,
            text=True,
            timeout=READY_TIMEOUT_S,
            check=False,
        )
    route = " > ".join([plan.message, *(name_of(number) for number in range(plan.length))])
    return done.stdout.rstrip("\n") or done.stderr.strip(), route


def measure_length(plan: Plan, block: int, load: Workload, tick: Callable[[], None]) -> Slice:
    """One slice with a fresh chain of this length; its first node counts as the server."""
    with running(plan, 1, int(load.keys["hops"]), False) as next_hop:
        command = node_command(plan, 0, next_hop, False)
        return run_slice(
            Setup(
                block=block,
                workload=load.name,
                subject=node(plan, command),
                keys=load.keys,
                cpu=None,
                client_command=lambda address: client_command(plan, address),
                timeout_s=plan.duration_s + CLIENT_GRACE_S,
            ),
            tick,
        )


def node(plan: Plan, command: Sequence[str]) -> Subject:
    """One as an experiment knows it, which adds --port=0 itself."""
    return Subject(plan.backend, [each for each in command if each != "--port=0"], own=True)


def manifest_of(plan: Plan, arguments: Sequence[str]) -> Manifest:
    """What scripts/report reads: one subject, and a workload for each length."""
    return Manifest(
        title="What the length of a chain costs",
        command=repeating_command(called("chain"), arguments, None),
        started_at=utc_now(),
        finished_at=None,
        seed=SEED,
        blocks=plan.rounds,
        max_blocks=plan.rounds,
        until=None,
        duration_s=plan.duration_s,
        warmup_s=WARMUP_S,
        baseline=plan.backend,
        subjects=[node(plan, node_command(plan, 0, None, False))],
        unavailable={},
        workloads=sweep({"hops": plan.hops}),
        placement=Placement(None, None, "nodes and load generator share the CPUs, unpinned"),
        versions={},
    )


def client_command(plan: Plan, address: str) -> list[str]:
    """One message at a time; it sleeps as the nodes do."""
    return [
        str(plan.bin / "loadgen"),
        address,
        "--connections=1",
        f"--duration={plan.duration_s:g}s",
        f"--warmup={WARMUP_S:g}s",
        "--busy-poll=off",
        "--json=-",
        "--quiet",
    ]


def measure(plan: Plan, manifest: Manifest) -> dict[int, list[float]]:
    """The median round trip of each slice, by length, in microseconds. Every slice is on disk
    before the next begins."""
    found: dict[int, list[float]] = {hops: [] for hops in plan.hops}
    plan.out.mkdir(parents=True)
    result_set.write_manifest(plan.out, manifest)
    loads = {each.name: each for each in manifest.workloads}
    left = plan.rounds * len(loads)
    progress = Progress(sys.stderr, "chain")
    with open(plan.out / result_set.SLICES, "w", encoding="utf-8") as log, clearing(progress):
        for block in range(plan.rounds):
            for name, _ in block_order([plan.backend], list(loads), SEED, block):
                what = f"round {block + 1} of {plan.rounds}  {name}"
                left_s = left * (plan.duration_s + 0.4)
                measured = measure_length(
                    plan, block, loads[name], lambda: progress.update(what, left_s)
                )
                left -= 1
                log.write(json.dumps(asdict(measured)) + "\n")
                log.flush()
                found[int(loads[name].keys["hops"])].append(median_us(measured))
    result_set.write_manifest(plan.out, replace(manifest, finished_at=utc_now()))
    return found


def median_us(measured: Slice) -> float:
    """Raises CannotMeasure where there is no result, DoesNotHold where it is worth nothing."""
    if measured.result is None:
        raise CannotMeasure(f"{measured.workload}: {measured.failure}")
    median = measured.result["latency_ns"]["p50"]
    if measured.client_exit == RESULT_DOES_NOT_HOLD or median is None:
        raise DoesNotHold(f"{measured.workload}: {measured.client_stderr.strip()}")
    return float(median) / 1000


@contextlib.contextmanager
def clearing(progress: Progress) -> Iterator[None]:
    """Takes the progress line away, however this ends."""
    try:
        yield
    finally:
        progress.clear()


class DoesNotHold(Exception):
    """A measurement was made and is worth nothing; the text says why."""


def table(found: dict[int, list[float]]) -> str:
    """The round trips, as a person reads them."""
    lines = ["nodes   round trip (median of the rounds' medians; lowest to highest)"]
    for hops, medians in found.items():
        middle = statistics.median(medians)
        lines.append(f"{hops:5d}   {middle:8.1f} us   {min(medians):.1f} to {max(medians):.1f}")
    return "\n".join(lines)


def run(plan: Plan, arguments: Sequence[str]) -> int:
    """Both parts; the exit status."""
    check_available(node(plan, node_command(plan, 0, None, False)), {}, None)
    seen, expected = send_through(plan)
    print(seen, flush=True)
    if seen != expected:
        print(f"chain: expected {expected!r} to come back", file=sys.stderr)
        return RESULT_DOES_NOT_HOLD
    if plan.hops:
        found = measure(plan, manifest_of(plan, arguments))
        print(f"\n{table(found)}\n\nslices: {from_here(plan.out)}/slices.jsonl")
    return 0


def main(arguments: Sequence[str]) -> int:
    """The command; its exit status."""
    plan, check_only = parse_plan(arguments)
    if check_only:
        return 0
    raise_on_signals()
    try:
        return run(plan, arguments)
    except Unavailable as reason:
        print(f"chain: {reason}", file=sys.stderr)
        return UNAVAILABLE
    except DoesNotHold as reason:
        print(f"chain: {reason}", file=sys.stderr)
        return RESULT_DOES_NOT_HOLD
    except (CannotMeasure, OSError, subprocess.TimeoutExpired) as reason:
        print(f"chain: {reason}", file=sys.stderr)
        return 1
    except Interrupted as signal:
        return signal.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
