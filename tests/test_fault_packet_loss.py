"""A network that drops one packet in twenty, and one that is slow and drops what its short queue
does not hold: TCP sends again, so nothing is lost, and every byte is as it was."""

import re
import struct

from evidence import Evidence
from loadgen_fixtures import Run, loadgen
from own_network import OwnNetwork, own_network
from scale import tries
from server_process import StartServer

ROW = "packet loss, slow link"
PATIENCE = "--timeout=120s"  # a segment that is lost again and again comes after a minute


def loses(network: OwnNetwork, percent: int) -> None:
    """A filter on the loopback device, in classic BPF (tc-bpf(8)): a random number decides. On the
    way in, where nobody is told: a listener that can't send SYN-ACK again drops the connection."""
    random, at_least, end = 0x20, 0x35, 0x06  # linux/bpf_common.h
    ancillary_random = struct.unpack("I", struct.pack("i", -0x1000 + 56))[0]  # linux/filter.h
    drop, keep = 2, 0  # TC_ACT_SHOT, TC_ACT_OK
    limit = 2**32 * (100 - percent) // 100
    steps = [(random, 0, 0, ancillary_random), (at_least, 0, 1, limit), (end, 0, 0, drop),
             (end, 0, 0, keep)]
    program = ",".join([str(len(steps))] + [" ".join(map(str, step)) for step in steps])
    network.run_or_skip("tc", "qdisc", "add", "dev", "lo", "clsact")
    network.run_or_skip("tc", "filter", "add", "dev", "lo", "ingress", "bpf", "bytecode", program,
                        "direct-action")


def is_slow(network: OwnNetwork, rate: str, queue: int) -> None:
    """Packets as on an Ethernet, and a queue (tc-tbf(8)) that holds so many bytes."""
    network.run_or_skip("ip", "link", "set", "lo", "mtu", "1500")
    network.run_or_skip("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", rate, "burst",
                        "4kb", "limit", str(queue))


def dropped(network: OwnNetwork) -> int:
    shown = network.run("tc", "-s", "qdisc", "show", "dev", "lo").stdout
    return sum(map(int, re.findall(r"dropped (\d+)", shown)))


def exchange(network: OwnNetwork, start_server: StartServer, *arguments: object) -> Run:
    server = start_server(before_exec=network.enter)
    return loadgen(f"127.0.0.1:{server.port}", PATIENCE, *arguments, preexec_fn=network.enter)


def nothing_is_lost(run: Run, messages: int, size: int) -> None:
    totals = run.result["totals"]
    assert run.status == 0, (totals["errors"], run.stderr)
    assert totals["messages"] == messages and totals["bytes_received"] == messages * size, totals
    assert (totals["unanswered"], totals["corrupt"], totals["errors"]) == (0, 0, {}), totals
    assert totals["connections_lost"] == 0 and run.result["config"]["verify"] is True


def test_one_packet_in_twenty_is_dropped(start_server: StartServer, evidence: Evidence) -> None:
    messages, size = tries(200, 20_000), 1000
    with own_network() as network:
        loses(network, percent=5)
        run = exchange(network, start_server, "-c", tries(10, 100), "-n", messages, "-s", size)
        gone = dropped(network)
    nothing_is_lost(run, messages, size)
    assert gone > 0 and run.result["tcp"]["retransmits"] > 0, "nothing was dropped"
    evidence(ROW, packets_dropped=gone, bytes_checked=messages * size, bytes_lost=0)


def test_a_slow_link_with_a_short_queue(start_server: StartServer, evidence: Evidence) -> None:
    messages, size = tries(4, 40), 10_000
    with own_network() as network:
        is_slow(network, "1mbit", queue=8000)
        run = exchange(network, start_server, "-c", 2, "-n", messages, "-s", size)
        gone = dropped(network)
    nothing_is_lost(run, messages, size)
    assert gone > 0, "the queue was long enough for everything"
    evidence(ROW, packets_dropped=gone, bytes_checked=messages * size, bytes_lost=0)
