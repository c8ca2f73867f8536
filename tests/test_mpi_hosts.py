"""loadgen-mpi on four hosts with addresses of their own: network namespaces on one wire, reached
through mpirun's own launcher with an agent in the place of ssh."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen_fixtures import ENGINES
from mpi_job import Hosts, hosts_on_a_wire, ip_or_skip, job, needs_mpi, run
from server_process import EchoServer, StartServer
from test_mpi import expect_common_clock, expect_sum
from test_mpi_faults import expect_lost

pytestmark = needs_mpi

HOSTS = ["host0", "host1", "host2", "host3"]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with hosts_on_a_wire(HOSTS, tmp_path) as made:
        yield made


def server_on(hosts: Hosts, launch: StartServer, bind: str = "") -> EchoServer:
    """An echo-server on the first host."""
    return launch("--port=0", f"--bind={bind or hosts.address(0)}",
                  before_exec=lambda: hosts.enter(0))


def target_of(server: EchoServer) -> str:
    return f"{server.host}:{server.port}"


@pytest.mark.parametrize("engine", ENGINES)
def test_four_hosts(hosts: Hosts, launch: StartServer, tmp_path: Path, engine: str) -> None:
    target = target_of(server_on(hosts, launch))
    ended = run(tmp_path, target, f"--backend={engine}", "-c", 40, "-r", 2000, "-d", "1500ms",
                "-w", "200ms", "--interval=500ms", "--busy-poll=off", mpirun=hosts.mpirun(),
                prefix=hosts.inside(0))
    if ended.status == 4:
        pytest.skip(ended.stderr)
    assert ended.status == 0 and ended.result is not None, ended
    expect_sum(ended.result, len(HOSTS))
    expect_common_clock(ended.result)
    assert sorted(row["host"] for row in ended.result["ranks"]) == hosts.names
    assert ended.result["totals"]["connections_opened"] == 40
    assert "on 4 hosts" in ended.stdout
    server = ended.result["cpu"]["server"]
    assert server is not None and server["command"] == "echo-server", "as the first rank sees it"


def test_rank_killed_on_another_host(hosts: Hosts, launch: StartServer,
                                     tmp_path: Path) -> None:
    server = server_on(hosts, launch)
    with job(tmp_path, target_of(server), "-c", 20, "-r", 400, "-d", "20s", "-w", 0, "--timeout=2s",
             "--busy-poll=off", mpirun=hosts.mpirun(), prefix=hosts.inside(0)) as started:
        os.kill(started.await_load(server)[2], signal.SIGKILL)
        ended = started.end()
    assert ended.seconds < 20
    expect_lost(ended, 2)


def test_wrong_host_name_is_named_by_mpirun(hosts: Hosts, tmp_path: Path) -> None:
    hosts.hostfile.write_text(hosts.hostfile.read_text() + "no-such-host slots=1\n")
    ended = run(tmp_path, "10.78.0.1:8888", "-c", 10, ranks=5, mpirun=hosts.mpirun(),
                prefix=hosts.inside(0))
    assert ended.status != 0 and ended.result is None
    assert "no-such-host" in ended.stderr, ended
    assert ended.lines() == []


def test_host_from_which_the_server_is_not_reached(hosts: Hosts, launch: StartServer,
                                                   tmp_path: Path) -> None:
    """One line names the rank and its host, and no load is made without it."""
    other = "10.79.0.1"
    ip_or_skip("-n", hosts.namespace(0), "address", "add", f"{other}/32", "dev", "lo")
    for host in (1, 2):
        ip_or_skip("-n", hosts.namespace(host), "route", "add", other, "via", hosts.address(0))
    ip_or_skip("-n", hosts.namespace(3), "route", "add", "prohibit", other)
    server = server_on(hosts, launch, bind="0.0.0.0")
    ended = run(tmp_path, f"{other}:{server.port}", "-c", 8, "-d", "20s", mpirun=hosts.mpirun(),
                prefix=hosts.inside(0))
    assert ended.status == 1 and ended.result is None, ended
    [line] = ended.lines()
    assert re.search(r"rank \d \(host3\): cannot connect to 10.79.0.1:\d+: ", line), line
    assert ended.seconds < 15


def test_nothing_is_left_of_the_hosts() -> None:
    assert not list(Path("/run/netns").glob(f"echobench-{os.getpid()}-*"))
