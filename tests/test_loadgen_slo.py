"""--slo against servers whose limit is known by their making: at most one answer a connection in
50 ms, so that with one connection 20 messages a second are all there can be."""

import pathlib
import signal
import time

import pytest

from loadgen_fixtures import CountingEcho, check_result, finish, loadgen, lying_server, one_line
from loadgen_fixtures import run as run_program
from loadgen_fixtures import start


def test_the_interval_holds_what_the_server_can_do() -> None:
    with lying_server("delay", delay=0.05) as server:
        run = loadgen(server.address, "-c", 10, "--slo=p50<75ms", "--rate=100", "-d", "200ms",
                      "-w", "100ms")
    assert run.status in (0, 3), run
    slo = run.result["slo"]
    assert (slo["percentile"], slo["limit_ns"]) == ("p50", 75_000_000)
    # Ten connections, one answer each in 50 ms, are 200 messages a second, or fewer.
    assert slo["rate_missed"] is not None and slo["rate_missed"] > 20
    assert slo["rate_held"] is None or slo["rate_held"] < slo["rate_missed"] < 420
    for step in slo["steps"]:
        assert step["held"] == (sum(one["held"] for one in step["slices"]) >= 2)
        assert len(step["slices"]) >= 2, "one slice decides nothing"
    if slo["rate_held"]:
        assert run.result["config"]["rate"] == slo["rate_held"], "the run that holds is the result"
        assert run.result["latency_ns"]["p50"] < 75_000_000
        assert "holds up to a rate between" in run.stderr


def test_a_limit_that_nothing_holds_is_exit_3(tmp_path: pathlib.Path) -> None:
    with lying_server("delay", delay=0.02) as server:
        run = run_program("loadgen", server.address, "--slo=p50<1ms", "-w0", "-d", "50ms", "-c",
                          "10", "--rate=400", f"--json={tmp_path / 'slo.json'}")
    assert run.status == 3 and "does not hold" in run.stdout, run
    result = check_result((tmp_path / "slo.json").read_text())
    assert result["slo"]["rate_held"] is None


def test_a_signal_ends_the_search_with_what_was_found() -> None:
    with CountingEcho() as server:
        began = time.monotonic()
        process = start("loadgen", server.address, "--json=-", "--slo=p50<10s", "-d", "100ms")
        server.wait_for_bytes(100 * 64, process)
        process.send_signal(signal.SIGINT)
        run = finish(process, began)
    assert run.status == 130 and run.result["aborted"] is True, run


@pytest.mark.parametrize("arguments,word", [
    (["--slo=p99"], "--slo"), (["--slo=99<2ms"], "--slo"), (["--slo=p99<2ms", "-n", "5"], "--slo"),
    (["--slo=p99<2ms", "--hdr=x"], "--hdr"),
])
def test_bad_usage_is_one_line(arguments: list[str], word: str) -> None:
    ended = run_program("loadgen", "127.0.0.1:1", *arguments)
    assert ended.status == 2 and ended.stdout == "" and one_line(ended.stderr), ended
    assert word in ended.stderr
