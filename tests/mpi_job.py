"""loadgen-mpi under mpirun: how the tests start it, find its ranks and read its result; and hosts
of their own for it, made of network namespaces."""

import contextlib
import ctypes
import dataclasses
import os
import shutil
import subprocess
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from expect import wait_until
from loadgen_fixtures import WATCHDOG, check_result, stopped_at_end
from own_network import CLONE_NEWNET
from server_process import (PROGRAMS, SANITIZER, SANITIZER_REPORT, EchoServer,
                            environment)

PROGRAM = PROGRAMS / "loadgen-mpi"

needs_mpi = [
    pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun here"),
    pytest.mark.skipif(not PROGRAM.exists(), reason="loadgen-mpi is not built: no MPI was found"),
    pytest.mark.skipif(SANITIZER == "thread", reason="ThreadSanitizer does not know MPI's locks"),
]

# What an MPI allocates at its start it keeps, and its own checks are not ours.
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
MPI_ENVIRONMENT = {
    **AS_ROOT, "ASAN_OPTIONS": "exitcode=99:detect_leaks=0",
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
}


def mpi_environment() -> dict[str, str]:
    return {**environment(), **MPI_ENVIRONMENT}


@dataclasses.dataclass
class Ended:
    """A job that is over: mpirun's own status and what was printed."""

    status: int
    stdout: str
    stderr: str
    result: dict[str, Any] | None
    seconds: float

    def lines(self) -> list[str]:
        """What loadgen-mpi itself said on stderr."""
        return [line for line in self.stderr.splitlines() if line.startswith("loadgen-mpi: ")]

    def codes(self) -> list[str]:
        assert self.result is not None, self
        return [reason["code"] for reason in self.result["verdict"]["reasons"]]


class Job:
    """mpirun with its ranks."""

    def __init__(self, process: "subprocess.Popen[str]", json_file: Path, began: float) -> None:
        self.process = process
        self.json_file = json_file
        self.began = began

    def ranks(self) -> list[int]:
        """The pids of those on this machine, by rank."""
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(directory / "exe") != str(PROGRAM):
                    continue
                marks = (directory / "environ").read_bytes().split(b"\0")
                if f"ECHOBENCH_JOB={self.json_file}".encode() in marks:
                    [rank] = [mark.partition(b"=")[2] for mark in marks
                              if mark.startswith(b"OMPI_COMM_WORLD_RANK=")]
                    found[int(rank)] = int(directory.name)
        return [found[rank] for rank in sorted(found)]

    def await_load(self, server: EchoServer, messages: int = 100) -> list[int]:
        """Until so many have been answered; the pids of the ranks."""
        def loaded() -> bool:
            assert self.process.poll() is None, self.end()
            return server.counters()["bytes"] >= messages * 64
        wait_until(loaded, "expected the ranks to load the server", 20)
        return self.ranks()

    def end(self) -> Ended:
        try:
            out, err = self.process.communicate(timeout=WATCHDOG)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            out, err = self.process.communicate(timeout=WATCHDOG)
            pytest.fail(f"{self.process.args!r} hung; stdout: {out!r}; stderr: {err!r}")
        seconds = time.monotonic() - self.began
        # mpirun may be gone some milliseconds before the ranks that it has killed.
        wait_until(lambda: not self.ranks(), lambda: f"these ranks are left: {self.ranks()}")
        assert not SANITIZER_REPORT.search(err), err
        text = self.json_file.read_text(encoding="utf-8") if self.json_file.exists() else ""
        return Ended(self.process.returncode, out, err, check_result(text) if text else None,
                     seconds)


@contextlib.contextmanager
def job(where: Path, target: str, *arguments: object, ranks: int = 4,
        mpirun: tuple[str, ...] = (), prefix: tuple[str, ...] = (),
        number: int = 0) -> Iterator[Job]:
    """A job that runs until its end, or the test's."""
    json_file = where / f"result-{number}.json"
    command = [*prefix, "mpirun", *mpirun, "-n", str(ranks), str(PROGRAM), target,
               f"--json={json_file}", *map(str, arguments)]
    began = time.monotonic()
    process = subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**mpi_environment(), "ECHOBENCH_JOB": str(json_file)})
    with stopped_at_end(process):  # type: ignore[arg-type]
        yield Job(process, json_file, began)


def run(where: Path, target: str, *arguments: object, **how: Any) -> Ended:
    with job(where, target, *arguments, **how) as started:
        return started.end()


# ---- hosts

def ip_or_skip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30,
                          check=False)
    if done.returncode != 0:
        pytest.skip(f"no network namespaces here: ip {' '.join(arguments)}: {done.stderr.strip()}")


def remove(name: str) -> None:
    subprocess.run(["ip", "netns", "del", name], timeout=30, check=False)


ENTER = """\
    #!/bin/sh
    # HOST COMMAND...: runs it there, under the host's own name, where all know each other's.
    [ -e "/run/netns/{prefix}$1" ] || {{ echo "enter: no host $1" >&2; exit 255; }}
    exec ip netns exec "{prefix}$1" unshare --uts sh -c '
        hostname "$0" && mount --bind {names} /etc/hosts && exec "$@"' "$@"
"""
SSH = """\
    #!/bin/sh
    # [OPTION]... HOST COMMAND...: in the place of ssh.
    while [ "${{1#-}}" != "$1" ]; do shift; done
    host=$1
    shift
    exec {enter} "$host" sh -c "$*"
"""


def script(path: Path, text: str, **names: object) -> Path:
    path.write_text(textwrap.dedent(text).format(**names))
    path.chmod(0o755)
    return path


@dataclasses.dataclass
class Hosts:
    """Hosts on one wire, each a network namespace; tests have theirs at the same time."""

    names: list[str]
    prefix: str  # of a host's name: its namespace
    hostfile: Path
    enter_script: Path
    ssh: Path

    def namespace(self, host: int) -> str:
        return self.prefix + self.names[host]

    def inside(self, host: int) -> tuple[str, ...]:
        return (str(self.enter_script), self.names[host])

    def enter(self, host: int) -> None:
        """For `before_exec`: what is started so is in that host's network."""
        with open(f"/run/netns/{self.namespace(host)}") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def mpirun(self) -> tuple[str, ...]:
        wire = "10.78.0.0/24"
        return ("--hostfile", str(self.hostfile), "--map-by", "node", "--mca", "plm_rsh_agent",
                str(self.ssh), "--mca", "oob_tcp_if_include", wire, "--mca", "btl",
                "self,tcp", "--mca", "btl_tcp_if_include", wire)

    @staticmethod
    def address(host: int) -> str:
        return f"10.78.0.{host + 1}"


@contextlib.contextmanager
def hosts_on_a_wire(names: list[str], where: Path) -> Iterator[Hosts]:
    """Joined by veth pairs to a bridge, which is in a namespace of its own."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root, and ip from iproute2")
    prefix = f"echobench-{os.getpid()}-"
    switch = prefix + "switch"
    hostfile = where / "hosts"
    hostfile.write_text("".join(f"{name} slots=1\n" for name in names))
    etc_hosts = where / "etc-hosts"
    etc_hosts.write_text("127.0.0.1 localhost\n" + "".join(
        f"{Hosts.address(number)} {name}\n" for number, name in enumerate(names)))
    enter = script(where / "enter", ENTER, prefix=prefix, names=etc_hosts)
    hosts = Hosts(names, prefix, hostfile, enter, script(where / "ssh", SSH, enter=enter))
    with contextlib.ExitStack() as cleanup:
        for namespace in [switch, *map(hosts.namespace, range(len(names)))]:
            ip_or_skip("netns", "add", namespace)
            cleanup.callback(remove, namespace)
            ip_or_skip("-n", namespace, "link", "set", "lo", "up")
        ip_or_skip("-n", switch, "link", "add", "wire", "type", "bridge")
        ip_or_skip("-n", switch, "link", "set", "wire", "up")
        for number in range(len(names)):
            own = hosts.namespace(number)
            ip_or_skip("-n", switch, "link", "add", f"port{number}", "type", "veth",
                       "peer", "name", "eth0", "netns", own)
            ip_or_skip("-n", switch, "link", "set", f"port{number}", "master", "wire", "up")
            ip_or_skip("-n", own, "address", "add", f"{hosts.address(number)}/24", "dev", "eth0")
            ip_or_skip("-n", own, "link", "set", "eth0", "up")
        yield hosts
