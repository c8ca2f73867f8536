"""What several machines measured at one time, each with its own loadgen, as one run.

Counts are summed and histograms merged, so every percentile is the one that a single loadgen with
all connections would have found. Throughput is only summed where the windows lie over each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from echobench import hdr, quantity, result_set, strict_json, table
from echobench.likeness import Difference
from echobench.result_set import STATUSES, BadResults
from echobench.typed import BadValue, Reader

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}
TOGETHER = 0.9  # of the longest window, that all have to have in common

LOAD = ("target", "message_size", "pipeline", "mode", "arrivals", "churn")
WINDOW = ("duration_s", "messages", "warmup_s")
CLIENT = ("backend", "verify")


@dataclass(frozen=True)
class Run:
    """A result, and the file that it is from."""

    name: str
    result: dict[str, Any]

    @property
    def begin(self) -> datetime:
        """When its window began, by its own wall clock. started_at is in whole seconds and does not
        count the time it took to connect, so this is a second or two too early."""
        started = result_set.parse_time(self.result["started_at"])
        return started + timedelta(seconds=self.result["config"]["warmup_s"])

    @property
    def end(self) -> datetime:
        """When its window ended."""
        return self.begin + timedelta(seconds=self.result["totals"]["elapsed_s"])

    @property
    def throughput(self) -> float:
        """Messages per second."""
        return float(self.result["throughput"]["messages_per_s"])


@dataclass(frozen=True)
class Total:
    """All of them."""

    runs: list[Run]
    counts: dict[str, int]
    latency: dict[str, Any]
    service: dict[str, Any]
    histograms: dict[str, str]
    common_s: float
    longest_s: float
    throughput: float | None
    status: str
    reasons: list[dict[str, str]]


def read(path: Path) -> Run:
    """Raises BadResults."""
    try:
        reader = Reader(strict_json.parse(result_set.text_of(path)), "")
        result_set.check_result(reader)
        _check(reader)
    except (strict_json.NotStrict, BadValue, hdr.BadHistogram, ValueError) as error:
        raise BadResults(f"{path}: {error}") from error
    return Run(path.name, dict(reader.value))


def _check(reader: Reader) -> None:
    """What is read here and not of a slice."""
    result_set.parse_time(reader.text("started_at", 40))
    config, totals = reader.object("config"), reader.object("totals")
    config.number("warmup_s")
    config.text("target", 300)
    totals.number("elapsed_s")
    for name in ("messages", "answered_in_window", "sent"):
        totals.whole(name)
    hdr.decode(reader.object("histograms").text("service", 1 << 20))
    for name in ("latency_ns", "service_ns"):
        reader.object(name).whole("infinite")


def differences(runs: Sequence[Run]) -> list[Difference]:
    """What is not alike and has to be. Connections and rate are each machine's own part."""
    facts: dict[tuple[str, str], dict[str, None]] = {}

    def note(aspect: str, what: str, value: Any) -> None:
        facts.setdefault((aspect, what), {})[str(value)] = None

    for each in runs:
        config, tool = each.result["config"], each.result["tool"]
        for aspect, keys in (("load", LOAD), ("window", WINDOW), ("loadgen", CLIENT)):
            for key in keys:
                note(aspect, key, config.get(key))
        note("loadgen", "loadgen", f"{tool['version']} ({tool['git']})")
    return [Difference(aspect, f"{what}: {' / '.join(values)}")
            for (aspect, what), values in facts.items() if len(values) > 1]


def total_of(runs: Sequence[Run]) -> Total:
    """The sum. Requires one run at least."""
    results = [each.result for each in runs]
    merged = {name: hdr.merged(hdr.decode(each["histograms"][name]) for each in results)
              for name in ("latency", "service")}
    common = min(each.end for each in runs) - max(each.begin for each in runs)
    common_s = max(0.0, common.total_seconds())
    longest_s = max(float(each["totals"]["elapsed_s"]) for each in results)
    together = common_s >= TOGETHER * longest_s
    reasons = [{"code": f"run_{each.result['verdict']['status']}",
                "message": f"{each.name}: {reason['code']}: {reason['message']}"}
               for each in runs for reason in each.result["verdict"]["reasons"][:1]]
    if not together:
        reasons.append({"code": "not_together",
                        "message": f"the windows share {common_s:.3g} s of {longest_s:.3g} s: "
                        "their throughputs are not of one time, and not summed"})
    statuses = [each["verdict"]["status"] for each in results]
    worst = max([*statuses, "valid" if together else "questionable"], key=STATUSES.index)
    return Total(
        runs=list(runs),
        counts=_sums([each["totals"] for each in results]),
        latency=_distribution([each["latency_ns"] for each in results], merged["latency"]),
        service=_distribution([each["service_ns"] for each in results], merged["service"]),
        histograms={name: hdr.encode(each) for name, each in merged.items()},
        common_s=common_s,
        longest_s=longest_s,
        throughput=sum(each.throughput for each in runs) if together else None,
        status=worst,
        reasons=reasons,
    )


def _sums(totals: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Of all that is counted."""
    sums: dict[str, int] = {}
    for each in totals:
        for key, value in each.items():
            if isinstance(value, int):
                sums[key] = sums.get(key, 0) + value
    return sums


def _distribution(parts: Sequence[dict[str, Any]], samples: hdr.Histogram) -> dict[str, Any]:
    """As loadgen writes one. The extremes and the mean are exact in each part, so they are here."""
    infinite = sum(each["infinite"] for each in parts)
    some = [each for each in parts if each["count"] > 0]
    finite = bool(some) and infinite == 0
    largest = max(each["max"] for each in some) if finite else None
    quantiles = {name: samples.quantile(share, infinite) for name, share in QUANTILES.items()}
    return {
        "count": samples.count,
        "infinite": infinite,
        "min": min((each["min"] for each in some), default=None),
        "mean": sum(each["mean"] * each["count"] for each in some) / samples.count
        if finite else None,
        **{name: value if value is None or largest is None else min(value, largest)
           for name, value in quantiles.items()},
        "max": largest,
    }


def rows(total: Total) -> table.Rows:
    """For people: a row for each file, and the total."""
    heading = ["file", "connections", "messages", "messages/s", "p50", "p99", "p99.9", "verdict"]
    found = [heading]
    for each in total.runs:
        found.append(_row(each.name, each.result["config"]["connections"], each.result["totals"],
                          each.throughput, each.result["latency_ns"],
                          each.result["verdict"]["status"]))
    found.append(_row("total", sum(each.result["config"]["connections"] for each in total.runs),
                      total.counts, total.throughput, total.latency, total.status))
    return found


def _row(name: str, connections: int, counts: dict[str, int], throughput: float | None,
         latency: dict[str, Any], status: str) -> list[str]:
    def time(key: str) -> str:
        return "-" if latency[key] is None else quantity.duration(latency[key])

    return [name, f"{connections:,}", f"{counts['messages']:,}",
            "-" if throughput is None else quantity.rate(throughput),
            time("p50"), time("p99"), time("p99_9"), status]


def for_programs(total: Total) -> dict[str, Any]:
    """The same as an object; names as in results/schema.json."""
    return {
        "total": {
            "connections": sum(each.result["config"]["connections"] for each in total.runs),
            "totals": total.counts,
            "messages_per_s": total.throughput,
            "common_s": total.common_s,
            "longest_s": total.longest_s,
            "latency_ns": total.latency,
            "service_ns": total.service,
            "histograms": total.histograms,
            "verdict": {"status": total.status, "reasons": total.reasons},
        },
        "runs": [{
            "file": each.name,
            "started_at": each.result["started_at"],
            "connections": each.result["config"]["connections"],
            "totals": each.result["totals"],
            "messages_per_s": each.throughput,
            "latency_ns": each.result["latency_ns"],
            "verdict": each.result["verdict"],
        } for each in total.runs],
    }
