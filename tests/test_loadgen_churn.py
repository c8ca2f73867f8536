"""--churn: connections that are replaced after so many messages, for as long as the run lasts,
counted right and closed as the lecture's client closes them."""

import re
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from hdr_histogram import Histogram
from loadgen_fixtures import (ENGINES, Process, Server, check_result, listening_address, loadgen,
                              lying_server, program, run, stopped_at_end, with_warmup)
from server_process import environment

SIZE = 64


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("churn,connections,arguments", [
    (1, 1, []), (1, 8, []), (7, 3, ["-t", 3]), (3, 4, ["-p", 16]), (5, 4, ["-r", 5000]),
    (4, 300, ["-t", 2, "-p", 2]),
])
def test_each_connection_carries_so_many(engine: str, churn: int, connections: int,
                                         arguments: list[object]) -> None:
    count = max(600, 2 * churn * connections)
    with lying_server("none") as server:
        ended = loadgen(server.address, f"--backend={engine}", f"--churn={churn}", "-n", count,
                        "-c", connections, *arguments)
        server.stop()
    assert ended.status == 0, ended
    totals = ended.result["totals"]
    assert (totals["messages"], totals["unanswered"], totals["corrupt"]) == (count, 0, 0)
    assert server.bytes_received == count * SIZE
    # Each was used up but for the last ones.
    assert count / churn <= server.connections <= count / churn + connections
    # The server may not have come to accept one that loadgen was done with.
    assert server.connections <= totals["connections_opened"] <= server.connections + connections
    assert totals["connections_failed"] == 0
    assert ended.result["config"]["churn"] == churn


@pytest.mark.parametrize("engine", ENGINES)
def test_connects_are_reported(engine: str) -> None:
    with lying_server("none") as server:
        ended = loadgen(server.address, f"--backend={engine}", "--churn=2", "-c", 4, "-n", 2000)
    result = ended.result
    connects = result["connect_ns"]
    per_s, elapsed = result["throughput"]["connects_per_s"], result["totals"]["elapsed_s"]
    assert connects["count"] == pytest.approx(per_s * elapsed, abs=5) and connects["count"] > 100
    assert 1_000 < connects["min"] <= connects["p50"] <= connects["max"] < 10**9
    assert per_s == pytest.approx(result["throughput"]["messages_per_s"] / 2, rel=0.1)
    assert Histogram(result["histograms"]["connect"]).count == connects["count"]
    assert result["tcp"]["connections"] == pytest.approx(
        result["totals"]["connections_opened"], abs=4)
    assert re.search(r"connects +[0-9.]+ ?k?/s", ended.stderr), ended.stderr


def test_without_it_nothing_is_said_of_connects() -> None:
    with lying_server("none") as server:
        ended = loadgen(server.address, "-n", 100)
    result = ended.result
    assert result["config"]["churn"] is result["connect_ns"] is None
    assert result["throughput"]["connects_per_s"] is result["histograms"]["connect"] is None
    assert "connects" not in ended.stderr


# As the course has it: one client after the other, and no reset is expected.
LECTURE_LOOP = """
from socket import socket
listener = socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    while data := connection.recv(1024):
        connection.sendall(data)
    connection.close()
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_the_lectures_server_sees_no_reset(engine: str) -> None:
    process: Process = subprocess.Popen([sys.executable, "-c", LECTURE_LOOP],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
    with stopped_at_end(process):
        server = Server(process, listening_address(process))
        ended = loadgen(server.address, f"--backend={engine}", "--churn=3", "-n", 3000)
        assert process.poll() is None, process.communicate()
    assert ended.status == 0 and ended.result["totals"]["messages"] == 3000


@pytest.mark.parametrize("engine", ENGINES)
def test_what_follows_the_last_reply_is_noticed(engine: str) -> None:
    with lying_server("extra", at=5, every=0) as server:
        ended = loadgen(server.address, f"--backend={engine}", "--churn=1", "-n", 50)
    assert ended.status == 3
    assert ended.result["totals"]["corrupt"] == ended.result["totals"]["errors"]["extra"] == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", ["flip", "drop", "reset", "close", "close-on-accept"])
def test_with_a_faulty_server_it_ends_and_says_so(engine: str, fault: str) -> None:
    with lying_server(fault, at=300, every=500) as server:
        ended = loadgen(server.address, f"--backend={engine}", "--churn=3", "-c", 4, "-n", 1000,
                        "--timeout=300ms")
    assert ended.status == 3 and ended.seconds < 10
    assert ended.result["verdict"]["status"] == "invalid"


def serve_some(listener: socket.socket, connections: int) -> None:
    """Echoes on one connection after the other, and then there is nobody."""
    for _ in range(connections):
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1024):
                connection.sendall(data)
    listener.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_with_a_server_that_goes_away_the_run_ends_in_time(engine: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = "127.0.0.1:%d" % listener.getsockname()[1]
        thread = threading.Thread(target=serve_some, args=(listener, 50))
        thread.start()
        ended = loadgen(address, f"--backend={engine}", "--churn=5", "-n", 1000, "--timeout=3s")
        thread.join()
    assert ended.status == 3 and ended.seconds < 20
    totals = ended.result["totals"]
    assert totals["connections_failed"] == 1 or totals["errors"], totals
    assert totals["messages"] >= 245


# A network of its own, in which ports are few.
FEW_PORTS = """
set -e
ip link set lo up
sysctl -qw net.ipv4.ip_local_port_range="40000 40{last}" net.ipv4.tcp_tw_reuse={reuse}
{server} --port=8888 > /dev/null 2>&1 &
server=$!
trap 'kill $server' EXIT
until {loadgen} -n1 -w0 -q > /dev/null 2>&1; do sleep 0.05; done
{loadgen} {arguments} --json=-
"""


def with_few_ports(last: str, reuse: int, *arguments: object) -> "subprocess.CompletedProcess[str]":
    unshare = [str(shutil.which("unshare")), "--net", "--map-root-user"]
    tried = subprocess.run([*unshare, "ip", "link", "set", "lo", "up"], capture_output=True)
    if tried.returncode != 0:
        pytest.skip("no network namespace can be made here")
    script = FEW_PORTS.format(
        last=last, reuse=reuse, server=program("echo-server"), loadgen=program("loadgen"),
        arguments=" ".join(map(str, with_warmup(arguments))))
    return subprocess.run([*unshare, "bash", "-c", script], capture_output=True, text=True,
                          timeout=60, env=environment())


@pytest.mark.parametrize("engine", ENGINES)
def test_ports_in_time_wait_do_not_stop_it(engine: str) -> None:
    # 101 ports of an address, none of which can be had again: 5,000 connections need 50 of them.
    ended = with_few_ports("100", 0, f"--backend={engine}", "--churn=1", "-c", 8, "-n", 5000)
    assert ended.returncode == 0, ended
    result = check_result(ended.stdout)
    assert result["totals"]["messages"] == 5000 <= result["totals"]["connections_opened"]
    assert result["totals"]["connections_failed"] == 0 and result["totals"]["errors"] == {}


@pytest.mark.parametrize("engine", ENGINES)
def test_when_there_is_no_port_left_it_says_so(engine: str) -> None:
    ended = with_few_ports("020", 0, f"--backend={engine}", "--churn=1", "-c", 8, "-n", 5000)
    assert ended.returncode == 3, ended
    result = check_result(ended.stdout)
    assert result["totals"]["errors"]["address_not_available"] == 8
    assert result["totals"]["connections_failed"] == 8
    assert 1000 < result["totals"]["messages"] < 1344, "21 ports of 64 addresses"
    reasons = {reason["code"]: reason["advice"] for reason in result["verdict"]["reasons"]}
    assert "ip_local_port_range" in reasons["connections_failed"]


@pytest.mark.parametrize("value", ["0", "-1", "x", ""])
def test_bad_usage(value: str) -> None:
    assert run("loadgen", "127.0.0.1:1", f"--churn={value}").status == 2
