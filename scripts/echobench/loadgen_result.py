"""The numbers that an experiment compares, taken from loadgen's --json object.

`results/schema.json` defines the object; this file names the few fields that comparisons need.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from echobench.quantity import duration, rate

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """A number of a result: its place in the object, and how to read it."""

    name: str
    path: tuple[str, ...]
    higher_is_better: bool
    text: Callable[[float], str]

    def of(self, result: Result) -> float | None:
        """The value, or None where the run could not support one."""
        value: Any = result
        for key in self.path:
            if value is None:
                return None
            value = value[key]
        return None if value is None else float(value)


THROUGHPUT = Metric("throughput", ("throughput", "messages_per_s"), True, rate)
METRICS = (
    THROUGHPUT,
    Metric("latency p50", ("latency_ns", "p50"), False, duration),
    Metric("latency p99", ("latency_ns", "p99"), False, duration),
    Metric("server CPU per message", ("cpu", "server", "ns_per_message"), False, duration),
)


@dataclass(frozen=True)
class Reason:
    """Why loadgen doubts a run: a code to count by, and a sentence with this run's figures."""

    code: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """loadgen's judgement of its own run: valid, questionable or invalid."""

    status: str
    reasons: tuple[Reason, ...]

    @staticmethod
    def of(result: Result) -> "Verdict":
        """Reads it from the result."""
        verdict = result["verdict"]
        reasons = (Reason(each["code"], each["message"]) for each in verdict["reasons"])
        return Verdict(verdict["status"], tuple(reasons))
