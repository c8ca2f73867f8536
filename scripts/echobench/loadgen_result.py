"""The numbers that an experiment compares, taken from its slices.

`results/schema.json` defines loadgen's object; here are the few fields that comparisons need.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from echobench.measure import Slice
from echobench.quantity import duration, rate, size

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """A number of a slice: what it is called, how it is taken, and how people read it."""

    key: str  # for programs
    name: str
    unit: str  # of the bare number
    higher_is_better: bool
    text: Callable[[float], str]
    take: Callable[[Slice], float | None]

    def of(self, measured: Slice) -> float | None:
        """The value, or None where the slice could not support one."""
        return None if measured.result is None else self.take(measured)


def _at(*path: str) -> Callable[[Slice], float | None]:
    def take(measured: Slice) -> float | None:
        value: Any = measured.result
        for key in path:
            if value is None:
                return None
            value = value[key]
        return None if value is None else float(value)

    return take


def _memory_per_connection(measured: Slice) -> float | None:
    if measured.memory is None or measured.result is None:
        return None
    grown = measured.memory["peak_bytes"] - measured.memory["ready_bytes"]
    return grown / float(measured.result["config"]["connections"])


THROUGHPUT = Metric(
    "throughput", "throughput", "messages/s", True, rate, _at("throughput", "messages_per_s")
)
SERVER_CPU = Metric("server_cpu", "server CPU per message", "ns", False, duration,
                    _at("cpu", "server", "ns_per_message"))
CLIENT_CPU = Metric("client_cpu", "client CPU per message", "ns", False, duration,
                    _at("cpu", "client", "ns_per_message"))
P99 = Metric("p99", "latency p99", "ns", False, duration, _at("latency_ns", "p99"))
METRICS = (
    THROUGHPUT,
    Metric("p50", "latency p50", "ns", False, duration, _at("latency_ns", "p50")),
    P99,
    Metric("p99_9", "latency p99.9", "ns", False, duration, _at("latency_ns", "p99_9")),
    SERVER_CPU,
    CLIENT_CPU,
    Metric("memory", "server memory per connection", "bytes", False, size,
           _memory_per_connection),
)


@dataclass(frozen=True)
class Reason:
    """Why loadgen doubts a run: a code to count by, and a sentence with this run's figures."""

    code: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """loadgen's judgement of its own run: valid, questionable or invalid; "failed" without one."""

    status: str
    reasons: tuple[Reason, ...]

    @staticmethod
    def of(measured: Slice) -> "Verdict":
        """Reads it from the result. Either word of loadgen's makes a run invalid: the exit status
        that says so, or the verdict."""
        if measured.result is None:
            why = (measured.failure or "").partition("\n")[0]
            return Verdict("failed", (Reason("failed", why),))
        verdict = measured.result["verdict"]
        reasons = tuple(Reason(each["code"], each["message"]) for each in verdict["reasons"])
        if measured.client_exit == 3 and verdict["status"] != "invalid":
            return Verdict("invalid", reasons or (Reason("exit_status", "loadgen ended with 3"),))
        return Verdict(verdict["status"], reasons)

    @property
    def holds(self) -> bool:
        """Whether the run's figures may be used."""
        return self.status in ("valid", "questionable")
