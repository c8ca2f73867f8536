"""How far many machines go on paper: what 10 M connections and 100 M messages a second ask of a
hundred of them, each figure computed from what was measured on one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from echobench import hdr, quantity
from echobench.comparison import by_cell
from echobench.loadgen_result import CLIENT_CPU, SERVER_CPU, Metric, Verdict
from echobench.measure import Slice
from echobench.result_set import ResultSet

MACHINES, CONNECTIONS, MESSAGES = 100, 10_000_000, 100_000_000
RECORD, WORKLOAD, SUBJECT = "scaling", "19000 connections", "io_uring"
MEMORY = "user memory a connection, loadgen on io_uring"
SIZE = 64

# Of a segment, beside what it carries: Ethernet with preamble, checksum and gap; IPv4; TCP with
# timestamps.
HEADERS = 38 + 20 + 32
ALL_PORTS = 65_536 - 1_024
HISTOGRAMS = 5  # that a rank sends: latency, service, send lag, connect, stamp error


@dataclass(frozen=True)
class Measured:
    """What the records say of one machine."""

    client_ns: float  # a message
    server_ns: float
    segments: float  # that loadgen sent, a message
    descriptors: int
    ports: int
    memory: float  # bytes a connection


def measured(record: ResultSet, costs: Mapping[str, Any]) -> Measured:
    """Medians over the slices that hold."""
    cell = by_cell(record.slices)[WORKLOAD, SUBJECT]
    slices = [each for each in cell if Verdict.of(each).holds]
    result = slices[0].result
    assert result is not None
    low, high = map(int, result["context"]["sysctls"]["net.ipv4.ip_local_port_range"].split())
    return Measured(
        client_ns=_median(CLIENT_CPU, slices),
        server_ns=_median(SERVER_CPU, slices),
        segments=median(_segments(each) for each in slices),
        descriptors=result["context"]["nofile_limit"],
        ports=high - low + 1,
        memory=costs["costs"][MEMORY],
    )


def _median(metric: Metric, slices: list[Slice]) -> float:
    return median(value for each in slices if (value := metric.of(each)) is not None)


def _segments(measured_slice: Slice) -> float:
    """Counted over the connection's life, so without the two of the handshake, and over messages of
    the warm-up too, of which there are as many in the same time."""
    result = measured_slice.result
    assert result is not None
    config, totals, tcp = result["config"], result["totals"], result["tcp"]
    loaded = (config["warmup_s"] + totals["elapsed_s"]) / totals["elapsed_s"]
    return float((tcp["segments_sent"] - 2 * tcp["connections"]) / (totals["sent"] * loaded))


def rows(of: Measured) -> list[list[str]]:
    """What, as measured on one machine, and what follows for the aim."""
    connections, rate = CONNECTIONS // MACHINES, MESSAGES / MACHINES
    ranks = math.ceil(connections / (of.descriptors - 500))
    wire = SIZE + of.segments * HEADERS
    gigabits = 8e-9 * wire
    first_rank = MACHINES * ranks * HISTOGRAMS * hdr.BUCKETS * 8
    return [
        ["limit", "measured on one machine", f"so for {MACHINES} machines"],
        ["CPU of the load", f"{quantity.duration(of.client_ns)} a message",
         f"{rate * of.client_ns * 1e-9:.1f} cores of each"],
        ["CPU of the servers", f"{quantity.duration(of.server_ns)} a message",
         f"{MESSAGES * of.server_ns * 1e-9:,.0f} cores in all"],
        ["descriptors", f"{of.descriptors:,} a process",
         f"{ranks} ranks on each, or a higher limit"],
        ["ports", f"{of.ports:,} from an address to a server's address and port",
         f"{MACHINES * of.ports / 1e6:.1f} M connections to one; with all {ALL_PORTS:,} ports "
         f"{MACHINES * ALL_PORTS / 1e6:.1f} M; the rest needs more server addresses, "
         "and a job for each"],
        ["memory of loadgen", f"{quantity.size(of.memory)} a connection",
         f"{quantity.size(connections * of.memory)} of each, and the kernel's own"],
        ["memory of rank 0", "", f"{quantity.size(first_rank)}: the histograms of all ranks"],
        ["network", f"{of.segments:.2f} segments a message, acknowledgements among them: "
         f"{wire:.0f} B on the wire",
         f"{rate * gigabits:.1f} Gbit/s and {rate * of.segments / 1e6:.1f} M packets/s each way at "
         f"each, {MESSAGES * gigabits:,.0f} Gbit/s at the servers"],
    ]
