"""bench/floor: two programs that talk in turns, and a result that can stand beside loadgen's."""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from loadgen_fixtures import validator
from server_process import PROGRAMS

FLOOR = PROGRAMS.parent / "bench/floor"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


@contextlib.contextmanager
def floor_server(connections: int, size: int, pipeline: int, way: str) -> Iterator[str]:
    port = free_port()
    numbers = [str(each) for each in (port, connections, size, pipeline)]
    process = subprocess.Popen([FLOOR / "floor_server", *numbers, way])
    try:
        yield f"127.0.0.1:{port}"
        assert process.poll() is None, "it ended by itself"
    finally:
        process.kill()
        process.wait()


def measure(address: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Again and again until the server listens: a connection that asks would be one of its own."""
    command = [str(FLOOR / "floor_client"), address, "--warmup=50ms", "--duration=1s", *options]
    end = time.monotonic() + 30
    while True:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if "Connection refused" not in done.stderr or time.monotonic() > end:
            return done


@pytest.mark.parametrize("way, poll", [("block", "off"), ("spin", "always")])
@pytest.mark.parametrize("connections, size, pipeline", [(50, 64, 1), (3, 64, 16), (2, 1 << 20, 1)])
def test_a_result_like_loadgen_s(way: str, poll: str, connections: int, size: int,
                                 pipeline: int) -> None:
    with floor_server(connections, size, pipeline, way) as address:
        done = measure(address, f"--connections={connections}", f"--size={size}",
                       f"--pipeline={pipeline}", f"--busy-poll={poll}")
    assert done.stderr == ""
    result = json.loads(done.stdout)
    validator().validate(result)
    totals = result["totals"]
    assert done.returncode == 0 and result["verdict"]["status"] != "invalid"
    assert totals["answered_in_window"] > connections
    assert abs(totals["messages"] - totals["answered_in_window"]) <= connections * pipeline
    assert result["config"]["connections"] == connections
    assert result["cpu"]["server"]["command"] == "floor_server"


@pytest.mark.parametrize("option", ["--rate=100", "--churn=1", "--messages=10", "--threads=2"])
def test_what_it_does_not_know_is_refused(option: str) -> None:
    connections = "--connections=2"
    done = subprocess.run([FLOOR / "floor_client", "127.0.0.1:9", connections, option],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == ("floor_client: the floor is a closed loop of one thread, for a "
                           "duration\n")


@pytest.mark.parametrize("arguments", [[], ["1", "2", "3"], ["x", "1", "64", "1", "spin"],
                                       ["8888", "1", "64", "2000", "spin"]])
def test_bad_usage_of_the_server(arguments: list[str]) -> None:
    done = subprocess.run([FLOOR / "floor_server", *arguments], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
