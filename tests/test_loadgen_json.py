"""The result that loadgen writes: it is what results/schema.json says, its figures agree with each
other, and its histograms, decoded here by other code, hold the samples that they claim."""

import copy
import datetime
import json
import math
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hdr_histogram import Histogram
from loadgen_fixtures import (ENGINES, SCHEMA, Run, Server, loadgen, lying_server, run, validator)

# --- The schema itself ----------------------------------------------------------------------------

DISTRIBUTION = {"count": 20, "infinite": 0, "min": 8, "mean": 10.5, "p50": 9, "p90": None,
                "p99": None, "p99_9": None, "p99_99": None, "max": 20}

# A small result that is right: what the schema must take, and what the tests below spoil.
EXAMPLE: dict[str, Any] = {
    "schema_version": 1,
    "tool": {"name": "loadgen", "version": "0.1.0", "git": None, "git_clean": None},
    "started_at": "2024-01-01T10:00:00Z",
    "aborted": False,
    "context": {
        "kernel": "6.1.0", "cpu_model": "A", "cpus": 2, "cpu_affinity": [0, 1], "governor": None,
        "mitigations": {"meltdown": "Not affected"}, "hypervisor": None,
        "tcp_congestion_control": "cubic", "sysctls": {"net.core.somaxconn": "4096"},
        "compiler": "GCC 12.2.0", "build_type": "Release", "compiler_flags": "-O2",
        "liburing": "2.3", "io_uring_flags": None, "memory_bytes": 1 << 33, "clocksource": "tsc",
        "nofile_limit": 1024, "loadavg": [0.1, 0.2, 0.3], "kernel_build": "#1 SMP",
        "architecture": "x86_64", "turbo": None, "smt": False, "idle_driver": "haltpoll",
    },
    "config": {
        "target": "127.0.0.1:8888", "connections": 1, "threads": 1, "duration_s": None,
        "messages": 20, "warmup_s": 0, "timeout_s": 5, "interval_s": 1, "message_size": 64,
        "pipeline": 1, "churn": None, "mode": "closed", "rate": None, "arrivals": None,
        "backend": "epoll", "backend_requested": "auto", "busy_poll": "auto", "cpu": None,
        "verify": True, "seed": 1,
    },
    "totals": {
        "messages": 20, "answered_in_window": 20, "due": None, "sent": 20, "unsent": None,
        "bytes_sent": 1280, "bytes_received": 1280, "elapsed_s": 0.001,
        "connections_opened": 1, "connections_failed": 0, "unanswered": 0, "corrupt": 0,
        "errors": {},
    },
    "throughput": {"messages_per_s": 20000.0, "bytes_per_s": 1280000.0, "asked_per_s": None,
                   "sent_per_s": 20000.0, "connects_per_s": None},
    "latency_ns": DISTRIBUTION,
    "service_ns": DISTRIBUTION,
    "send_lag_ns": None,
    "connect_ns": None,
    "stamp_error_ns": {"mean": 0, "p99": 0, "max": 0},
    "histograms": {"latency": "HISTFAAA", "service": "HISTFAAA", "connect": None},
    "intervals": [{"t_s": 0.001, "messages": 20, "p50": 9, "p99": None, "max": 20}],
    "cpu": {
        "client": {"utilisation": 0.5, "busy": 0.5, "run_delay_s": 0, "stalled_s": 0,
                   "longest_stall_s": 0, "ns_per_message": 3000.0},
        "server": {"pid": 1, "command": "echo-server", "threads": 1, "utilisation": 0.4,
                   "helper_utilisation": 0, "ns_per_message": 2500.0},
        "steal_fraction": 0.0,
    },
    "tcp": {"connections": 1, "retransmits": 0, "segments_sent": 22, "segments_received": 21,
            "rtt_ns": {"min": 9000, "mean": 9500.5, "max": 10000}},
    "slo": None,
    "verdict": {"status": "valid", "reasons": []},
}


RANK: dict[str, Any] = {
    "host": "anna", "connections": 1, "lost": False, "clock_offset_ns": -5, "clock_error_ns": 3,
    "late_s": 0, "backend": "epoll", "totals": EXAMPLE["totals"], "messages_per_s": 20000.0,
    "latency_ns": DISTRIBUTION, "histogram": "HISTFAAA", "client": EXAMPLE["cpu"]["client"],
    "verdict": {"status": "valid", "reasons": []},
}
LOST: dict[str, Any] = {**RANK, "lost": True, **dict.fromkeys(
    ["backend", "totals", "messages_per_s", "latency_ns", "histogram", "client", "verdict"])}


def is_valid(result: dict[str, Any]) -> bool:
    return bool(validator().is_valid(result))


def with_change(path: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(EXAMPLE)
    *parents, last = path.split(".")
    place = result
    for key in parents:
        place = place[key]
    place[last] = value
    return result


def test_the_schema_takes_a_right_result() -> None:
    assert [problem.message for problem in validator().iter_errors(EXAMPLE)] == []


@pytest.mark.parametrize("path,value", [
    ("schema_version", 2), ("surprise", 1), ("tool.name", "wrk"), ("tool.version", ""),
    ("started_at", "2024-01-01 10:00"), ("started_at", "2024-01-01T10:00:00+01:00"),
    ("aborted", 0), ("config.surprise", 1), ("config.duration_s", 10), ("config.messages", None),
    ("config.mode", "open"), ("config.rate", 100), ("config.backend", "auto"),
    ("config.connections", 0), ("config.cpu", []), ("totals.corrupt", -1),
    ("totals.messages", 1.5), ("totals.errors", {"flipped": 0}),
    ("totals.errors", {"Flipped": 1}), ("totals.errors", {"host_unreachable": "1"}),
    ("latency_ns.p50", 8.5), ("latency_ns.count", 0), ("latency_ns.max", None),
    ("latency_ns.p75", 1), ("latency_ns.infinite", 1), ("latency_ns.infinite", -1),
    ("send_lag_ns", DISTRIBUTION), ("histograms.latency", "***"),
    ("histograms.service", None), ("intervals", [{"t_s": 0, "messages": 1, "p50": None,
                                                  "p99": None, "max": None}]),
    ("cpu.server.pid", 0), ("cpu.steal_fraction", 2), ("cpu.client", None),
    ("tcp.retransmits", -1), ("verdict.status", "fine"),
    ("verdict.status", "invalid"),
    ("verdict.reasons", [{"code": "corrupt", "message": "1", "advice": "2"}]),
    ("verdict", {"status": "invalid", "reasons": [{"code": "corrupt", "message": "1"}]}),
    ("throughput.messages_per_s", None), ("connect_ns", DISTRIBUTION), ("config.churn", 1),
    ("config.churn", 0), ("ranks", []), ("ranks", [{**RANK, "host": None}]),
    ("ranks", [{**RANK, "totals": None}]), ("ranks", [{**RANK, "lost": True}]),
    ("ranks", [{**RANK, "clock_error_ns": -1}]), ("ranks", [{**RANK, "surprise": 1}]),
])
def test_the_schema_refuses(path: str, value: Any) -> None:
    assert not is_valid(with_change(path, value))


@pytest.mark.parametrize("path,value", [
    ("context.surprise", 1), ("context.governor", "performance"), ("cpu.server", None),
    ("totals.errors", {"host_unreachable": 3, "flipped": 1}),
    ("totals.connections_lost", 2), ("totals.connections_remade", 1),
    ("totals.lost_unanswered", 1), ("totals.spoiled", 1), ("ranks", [RANK, LOST]),
    ("verdict", {"status": "invalid", "reasons": [
        {"code": "corrupt", "message": "1 flipped", "advice": "mend it"}]}),
])
def test_the_schema_takes(path: str, value: Any) -> None:
    assert is_valid(with_change(path, value))


@pytest.mark.parametrize("key", EXAMPLE)
def test_nothing_may_be_missing(key: str) -> None:
    result = copy.deepcopy(EXAMPLE)
    del result[key]
    assert not is_valid(result)


def described_fields(schema: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{where}.{name}", field
        yield from described_fields(field, f"{where}.{name}")
    if "items" in schema:
        yield from described_fields(schema["items"], f"{where}[]")


def test_every_field_is_described() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    definitions = schema["$defs"]
    fields = list(described_fields(schema, "result"))
    for name, definition in definitions.items():
        fields += described_fields(definition, name)
    assert len(fields) > 100
    for where, field in fields:
        name = field.get("$ref", "").rsplit("/", 1)[-1]
        assert field.get("description") or definitions[name]["description"], where


def test_an_object_lists_all_its_fields() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for where, field in [("result", schema), *described_fields(schema, "result")]:
        if "properties" in field:
            assert field["additionalProperties"] is False, where
            always = set(field["properties"]) - ({"ranks"} if where == "result" else set())
            assert set(field["required"]) == always, where


# --- Real results ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with lying_server("none") as one:
        yield one


@pytest.fixture(scope="module", params=ENGINES)
def timed(request: pytest.FixtureRequest, server: Server) -> Run:
    """A run by time, long enough for percentiles and several intervals."""
    run = loadgen(server.address, f"--backend={request.param}", "-c", 4, "-p", 2, "-t", 2,
                  "-d", "1s", "--warmup=100ms", "--interval=200ms")
    assert run.status == 0, run
    return run


def test_the_count_is_the_messages(timed: Run) -> None:
    result = timed.result
    count = result["totals"]["messages"]
    assert result["latency_ns"]["count"] == result["service_ns"]["count"] == count > 1000


def test_throughput_is_answered_over_elapsed(timed: Run) -> None:
    totals, throughput = timed.result["totals"], timed.result["throughput"]
    rate = totals["answered_in_window"] / totals["elapsed_s"]
    assert throughput["messages_per_s"] == pytest.approx(rate, rel=1e-3)
    assert throughput["bytes_per_s"] == pytest.approx(rate * 64, rel=1e-3)
    assert 1 <= totals["elapsed_s"] < 2


def test_intervals_cover_the_window(timed: Run) -> None:
    totals, intervals = timed.result["totals"], timed.result["intervals"]
    assert sum(one["messages"] for one in intervals) == totals["answered_in_window"]
    ends = [one["t_s"] for one in intervals]
    assert ends == sorted(set(ends)) and 5 <= len(ends) <= 1 + math.ceil(totals["elapsed_s"] / 0.2)
    assert ends[-1] == pytest.approx(totals["elapsed_s"], abs=0.05)
    for one in intervals:
        assert one["p50"] is None or one["p50"] <= (one["p99"] or one["max"]) <= one["max"]


def test_percentiles_ascend(timed: Run) -> None:
    for name in ("latency_ns", "service_ns"):
        numbers = timed.result[name]
        order = ["min", "p50", "p90", "p99", "p99_9", "p99_99", "max"]
        values = [numbers[key] for key in order if numbers[key] is not None]
        assert values == sorted(values), numbers
        assert numbers["min"] <= numbers["mean"] <= numbers["max"]


def test_littles_law(timed: Run) -> None:
    outstanding = (timed.result["throughput"]["messages_per_s"]
                   * timed.result["latency_ns"]["mean"] / 1e9)
    # Never more than was allowed; less by what loadgen needs between a reply and the next send.
    assert 0.5 * 8 < outstanding < 1.05 * 8


def test_the_run_lasted_what_it_says(timed: Run) -> None:
    assert timed.result["totals"]["elapsed_s"] + 0.1 < timed.seconds
    mean = timed.result["latency_ns"]["mean"] / 1e9
    # The samples of one connection follow each other: together they fit in its time.
    total = timed.result["totals"]["messages"] * mean / 8
    assert total < 1.05 * timed.result["totals"]["elapsed_s"]


def test_bytes(timed: Run) -> None:
    totals = timed.result["totals"]
    assert totals["bytes_sent"] >= totals["messages"] * 64
    assert totals["bytes_received"] >= totals["answered_in_window"] * 64
    assert totals["bytes_sent"] % 64 == 0


def test_the_server_is_found_by_its_socket(timed: Run, server: Server) -> None:
    found = timed.result["cpu"]["server"]
    assert found is not None and found["pid"] == server.pid and found["threads"] == 1
    assert "python" in found["command"]
    assert 0.05 < found["utilisation"] < 1.1
    # utilisation and ns_per_message are one time over two denominators.
    totals = timed.result["totals"]
    for side in ("client", "server"):
        cpu = timed.result["cpu"][side]
        assert cpu["utilisation"] * totals["elapsed_s"] * 1e9 == pytest.approx(
            cpu["ns_per_message"] * totals["answered_in_window"], rel=0.02), side


def test_an_ipv6_server_is_found_too() -> None:
    with lying_server("none", bind="::1") as server:
        found = loadgen(server.address, "-n", 100).result["cpu"]["server"]
        assert found is not None and found["pid"] == server.pid


def test_the_server_is_found_in_the_midst_of_others(server: Server) -> None:
    with lying_server("none") as other:
        run = loadgen(other.address, "-n", 100)
        assert run.result["cpu"]["server"]["pid"] == other.pid != server.pid


def test_stamp_error_is_zero_on_epoll_and_small_elsewhere(timed: Run) -> None:
    error = timed.result["stamp_error_ns"]
    if timed.result["config"]["backend"] == "epoll":
        assert (error["mean"], error["p99"], error["max"]) == (0, 0, 0)
    else:
        assert 0 <= error["mean"] <= error["max"] <= timed.result["latency_ns"]["max"]
        assert error["p99"] <= error["max"]


def test_closed_loop_has_no_schedule(timed: Run) -> None:
    assert timed.result["send_lag_ns"] is None
    assert timed.result["config"]["mode"] == "closed"


def test_context_is_this_machine(timed: Run) -> None:
    context = timed.result["context"]
    assert context["kernel"] == os.uname().release
    assert context["cpus"] == os.cpu_count()
    assert context["cpu_affinity"] == sorted(os.sched_getaffinity(0))
    congestion = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")
    if congestion.exists():
        assert context["tcp_congestion_control"] == congestion.read_text().strip()
    assert context["memory_bytes"] == pytest.approx(
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.1)
    assert context["compiler"] and context["build_type"]
    assert context["sysctls"]


def test_started_at_is_now_in_utc(server: Server) -> None:
    before = datetime.datetime.now(datetime.timezone.utc)
    started = loadgen(server.address, "-n", 10).result["started_at"]
    after = datetime.datetime.now(datetime.timezone.utc)
    moment = datetime.datetime.fromisoformat(started.replace("Z", "+00:00"))
    slack = datetime.timedelta(seconds=1)  # it may be cut to whole seconds
    assert before - slack <= moment <= after


def test_tool_is_what_version_prints(timed: Run) -> None:
    tool = timed.result["tool"]
    assert tool["version"] in run("loadgen", "--version").stdout
    if tool["git"] is None:
        assert tool["git_clean"] is None
    else:
        assert tool["git_clean"] == (not tool["git"].endswith("-dirty"))


def test_config_is_what_was_asked_for(server: Server) -> None:
    config = loadgen(
        server.address, "--backend=epoll", "-c", 3, "-t", 2, "-s", 128, "-p", 5, "-d", "150ms",
        "-w", "50ms", "--timeout=700ms", "--interval=20ms", "--seed=7", "--verify=off",
        "--busy-poll=off").result["config"]
    approx = pytest.approx
    assert config == {
        "target": server.address, "connections": 3, "threads": 2, "duration_s": approx(0.15),
        "messages": None, "warmup_s": approx(0.05), "timeout_s": approx(0.7),
        "interval_s": approx(0.02),
        "message_size": 128, "pipeline": 5, "churn": None, "mode": "closed", "rate": None,
        "arrivals": None,
        "backend": "epoll", "backend_requested": "epoll", "busy_poll": "off", "cpu": None,
        "verify": False, "seed": 7}


def test_config_has_the_defaults(server: Server) -> None:
    config = run("loadgen", server.address, "-n", "10", "--json=-", "-w0").result["config"]
    assert (config["connections"], config["threads"], config["message_size"], config["pipeline"],
            config["timeout_s"], config["interval_s"], config["verify"],
            config["backend_requested"], config["busy_poll"], config["cpu"]) == (
                1, 1, 64, 1, 5, 1, True, "auto", "auto", None)
    assert (config["messages"], config["duration_s"]) == (10, None)


PERCENTILES = ["p50", "p90", "p99", "p99_9", "p99_99"]


@pytest.mark.parametrize("count,supported", [
    (1, 0), (12, 0), (1000, 2), (5000, 3), (20_000, 4),
])
def test_no_sample_no_number(server: Server, count: int, supported: int) -> None:
    result = loadgen(server.address, "-n", count, "-c", 4, "-p", 16).result
    for name in ("latency_ns", "service_ns"):
        numbers = result[name]
        assert numbers["min"] <= numbers["mean"] <= numbers["max"]
        given = [key for key in PERCENTILES if numbers[key] is not None]
        # 1000 samples have exactly ten above p99: either answer is right.
        allowed = {supported, 3} if count == 1000 else {supported}
        assert given == PERCENTILES[:len(given)] and len(given) in allowed, numbers


def test_without_samples_there_is_no_number() -> None:
    with lying_server("discard") as silent:
        result = loadgen(silent.address, "-d", "50ms", "--timeout=100ms").result
    latency = result["latency_ns"]
    assert (latency["count"], latency["infinite"]) == (0, 1)
    assert all(latency[key] is None for key in ["min", "mean", "max", *PERCENTILES])
    assert result["throughput"] == {
        "messages_per_s": 0, "bytes_per_s": 0, "asked_per_s": None,
        "sent_per_s": pytest.approx(1 / result["totals"]["elapsed_s"]), "connects_per_s": None}
    assert result["cpu"]["client"]["ns_per_message"] is None
    assert result["stamp_error_ns"] == {"mean": None, "p99": None, "max": None}
    assert Histogram(result["histograms"]["latency"]).count == 0


# --- The histograms -------------------------------------------------------------------------------


def test_the_decoder_knows_the_layout() -> None:
    histogram = Histogram.__new__(Histogram)
    histogram.digits = 3
    # Exact up to 2047, then 1024 steps to each doubling.
    assert histogram.bounds(0) == (0, 0) and histogram.bounds(2047) == (2047, 2047)
    assert histogram.bounds(2048) == (2048, 2049) and histogram.bounds(3071) == (4094, 4095)
    assert histogram.bounds(3072) == (4096, 4099)
    assert Histogram.read_counts(bytes([0x02, 0x05, 0x80, 0x01])) == [1, 0, 0, 0, 64]
    assert Histogram.read_counts(b"\xfe" + b"\xff" * 8) == [(1 << 63) - 1]


@pytest.mark.parametrize("name", ["latency", "service"])
def test_the_histogram_holds_the_samples(timed: Run, name: str) -> None:
    numbers = timed.result[f"{name}_ns"]
    histogram = Histogram(timed.result["histograms"][name])
    assert (histogram.digits, histogram.lowest, histogram.offset) == (3, 1, 0)
    assert histogram.highest >= 3_600_000_000_000 and histogram.ratio == 1.0
    assert histogram.count == numbers["count"]
    for key, quantile in zip(PERCENTILES, (0.5, 0.9, 0.99, 0.999, 0.9999)):
        if numbers[key] is not None:
            assert histogram.percentile(quantile) == pytest.approx(numbers[key], rel=1e-3, abs=1)
    assert histogram.percentile(1.0) == pytest.approx(numbers["max"], rel=1e-3, abs=1)
    assert histogram.at_rank(1) == pytest.approx(numbers["min"], rel=1e-3, abs=1)
    assert histogram.mean() == pytest.approx(numbers["mean"], rel=1e-3)


def test_few_samples_are_in_the_histogram_too(server: Server) -> None:
    result = loadgen(server.address, "-n", 3).result
    assert Histogram(result["histograms"]["latency"]).count == 3


def test_numbers_are_plain_json(timed: Run) -> None:
    assert not re.search(r"\b(NaN|Infinity)\b", timed.stdout)
    assert timed.stdout.count("\n{") == 0 and timed.stdout.endswith("\n"), "one object, one newline"
