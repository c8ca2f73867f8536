"""How it was measured and on what, in words that a write-up can take over."""

import shlex
from collections.abc import Callable, Sequence
from statistics import median

from echobench.loadgen_result import Result
from echobench.measure import Slice
from echobench.quantity import size
from echobench.result_set import Manifest, ResultSet


def method(results: ResultSet) -> list[str]:
    """Paragraphs."""
    manifest = results.manifest
    blocks = len({each.block for each in results.slices})
    config = _first(results.slices)["config"]
    others = len(manifest.subjects) - 1
    paragraphs = [
        f"{_count(len(manifest.subjects), 'server')} {_were(len(manifest.subjects))} measured "
        f"under {_count(len(manifest.workloads), 'workload')} in {_count(blocks, 'block')}. A "
        "block holds every server once under every workload, in an order drawn at random (seed "
        f"{manifest.seed}); what is compared stands next to each other in time. Each of the "
        f"{len(results.slices)} slices started a fresh server, loaded it for "
        f"{manifest.warmup_s:g} s without measuring and then measured for "
        f"{manifest.duration_s:g} s. "
        f"{_sentence(manifest.placement.remark)}",
        f"The load generator (echobench's loadgen, {config['backend']} engine, "
        f"{_count(config['threads'], 'thread')}) "
        + ("compared every byte that came back with what was sent. " if config["verify"]
           else "did not compare the bytes that came back. ")
        + _loop(manifest),
    ]
    if others > 0:
        paragraphs.append(
            "Values are medians over the slices. Each server is compared with "
            f"{manifest.baseline} by the ratio of the two slices of the same block: the estimate "
            "is the Hodges-Lehmann median of the log ratios, its interval the exact 95 % "
            "signed-rank interval. \"Faster\" and \"slower\" are said only where the interval "
            "leaves out 1. Of each workload one "
            "quantity was named beforehand (throughput; the 99th percentile where the load is a "
            "given rate); the others are judged together (Holm), so that looking at many does not "
            "find more. A single slice that does not hold leaves its block out, and is counted."
        )
        if others * len(manifest.workloads) > 1:
            paragraphs.append(
                f"These are {others * len(manifest.workloads)} comparisons. Between equal things, "
                "one in twenty would still show a difference."
            )
    if manifest.until is not None:
        paragraphs.append(
            f"Blocks were added until every such interval was within {manifest.until:.1%} of its "
            f"estimate, up to {manifest.max_blocks}."
        )
    return paragraphs


def environment(slices: Sequence[Slice]) -> list[list[str]]:
    """A table of two columns; where slices differ, all that they say."""
    results = [each.result for each in slices if each.result is not None]
    rows = [["what", "here"]]
    for name, take in _FACTS:
        values = dict.fromkeys(take(each) for each in results)
        rows.append([name, " / ".join(values) or "unknown"])
    steal = [each["cpu"]["steal_fraction"] for each in results]
    known = [each for each in steal if each is not None]
    if known:
        rows.append(["CPU time stolen by the hypervisor",
                     f"median {median(known):.1%}, at most {max(known):.1%} of a slice"])
    loads = [each["context"]["loadavg"][0] for each in results if each["context"]["loadavg"]]
    if loads:
        rows.append(["load average at the start of a slice",
                     f"{min(loads):.2f} to {max(loads):.2f} (the measurement is part of it)"])
    return rows


def repeat(manifest: Manifest) -> str:
    """The command, as one types it."""
    return shlex.join(manifest.command)


def servers(manifest: Manifest) -> str:
    """A line for each: its name and how it is started."""
    return "\n".join(f"{each.name}: {shlex.join(each.command)}" for each in manifest.subjects)


def _text(result: Result, key: str) -> str:
    value = result["context"][key]
    return "unknown" if value is None else str(value)


_FACTS: Sequence[tuple[str, Callable[[Result], str]]] = (
    ("processor", lambda each: f"{_text(each, 'cpu_model')}, {_text(each, 'cpus')} CPUs"),
    ("virtual machine", lambda each: each["context"]["hypervisor"] or "no sign of one"),
    ("memory", lambda each: "unknown" if each["context"]["memory_bytes"] is None
     else size(each["context"]["memory_bytes"])),
    ("kernel", lambda each: f"Linux {_text(each, 'kernel')}"),
    ("frequency governor", lambda each: _text(each, "governor")),
    ("clock source", lambda each: _text(each, "clocksource")),
    ("TCP congestion control", lambda each: _text(each, "tcp_congestion_control")),
    ("compiler", lambda each: f"{_text(each, 'compiler')}, {_text(each, 'compiler_flags')}"),
    ("liburing", lambda each: _text(each, "liburing")),
    ("loadgen", lambda each: f"{each['tool']['version']} ({each['tool']['git'] or 'no commit'})"),
)


def _loop(manifest: Manifest) -> str:
    opened = [each for each in manifest.workloads if each.open_loop]
    if len(opened) == len(manifest.workloads):
        return _OPEN
    if opened:
        return f"Workloads with a rate: {_OPEN} The others: {_CLOSED}"
    return _CLOSED


_CLOSED = (
    "The loop is closed: a connection sends its next message when the last one came back, so a "
    "server that stalls is asked less often, and stalls are under-represented in the percentiles."
)
_OPEN = (
    "The loop is open: messages are sent by a schedule whatever came back, and latency counts from "
    "the time at which a message was due."
)


def _first(slices: Sequence[Slice]) -> Result:
    return next(each.result for each in slices if each.result is not None)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
