"""loadgen's service time against a packet capture of the same run: clocks that share nothing."""

import collections
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from loadgen_fixtures import ENGINES, loadgen, stopped_at_end
from server_process import StartServer
from stall import on_a_quiet_machine

SIZE = 64


def captured_rtts(capture: pathlib.Path, port: int) -> list[float]:
    """Of each message of SIZE bytes, ns from its segment to the one that brought it back."""
    fields = ["frame.time_epoch", "tcp.srcport", "tcp.dstport", "tcp.len"]
    text = subprocess.run(
        ["tshark", "-r", str(capture), "-Y", "tcp.len > 0", "-T", "fields",
         *(word for field in fields for word in ("-e", field))],
        capture_output=True, text=True, check=True).stdout
    sent: dict[str, collections.deque[float]] = collections.defaultdict(collections.deque)
    rtts = []
    for line in text.splitlines():
        stamp, source, destination, length = line.split("\t")
        seconds, fraction = stamp.split(".")
        # A float holds the time since 1970 to some hundred ns only.
        ns = int(seconds) % 100_000 * 10 ** 9 + int(fraction.ljust(9, "0")[:9])
        for _ in range(int(length) // SIZE):
            if destination == str(port):
                sent[source].append(ns)
            else:
                rtts.append(ns - sent[destination].popleft())
    return rtts


@on_a_quiet_machine
@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
@pytest.mark.parametrize("engine", ENGINES)
def test_service_time_is_what_a_capture_shows(launch: StartServer, engine: str,
                                              tmp_path: pathlib.Path) -> None:
    server = launch("--port=0")
    capture = tmp_path / "capture.pcapng"
    # A server that does not spin gets into the way of the capture least.
    tshark = subprocess.Popen(
        ["tshark", "-q", "-i", "lo", "-B", "64", "-f", f"tcp port {server.port}", "-w",
         str(capture)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with stopped_at_end(tshark):
        end = time.monotonic() + 20
        while not capture.exists() or capture.stat().st_size == 0:
            if tshark.poll() is not None:
                assert tshark.stderr is not None
                pytest.skip("tshark may not capture: " + tshark.stderr.read().decode()[-200:])
            assert time.monotonic() < end, "tshark does not begin"
            time.sleep(0.05)
        time.sleep(0.5)
        run = loadgen(f"127.0.0.1:{server.port}", f"--backend={engine}", "-c", 20, "-r", "5k", "-d",
                      "4s", "-s", SIZE)
        time.sleep(1)
        tshark.terminate()
        tshark.wait(timeout=20)
        assert tshark.stderr is not None
        dropped = re.search(r"(\d+) packets? dropped", tshark.stderr.read().decode())
    assert not dropped or dropped[1] == "0", "the capture is not complete"
    rtts = sorted(captured_rtts(capture, server.port))
    service = run.result["service_ns"]
    assert len(rtts) == service["count"] == 20_000
    for key, quantile in (("p50", 0.5), ("p99", 0.99)):
        seen = rtts[int(quantile * len(rtts)) - 1]
        assert service[key] == pytest.approx(seen, rel=0.1, abs=10_000), (key, seen, service)
