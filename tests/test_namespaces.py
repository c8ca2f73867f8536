"""Task 2 as it is meant: each node on a host of its own. The hosts are network namespaces that the
test makes and takes away, in a row, each joined to the next by a veth pair with addresses of its
own (ip-netns(8))."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from server_process import PROGRAMS, Backend, environment

HOSTS = 5
NAMES = ["alice", "bob", "carol", "dave", "erin"]


def ip(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30,
                          check=False)


def ip_or_skip(*arguments: str) -> None:
    done = ip(*arguments)
    if done.returncode != 0:
        pytest.skip(f"no network namespaces here: ip {' '.join(arguments)}: {done.stderr.strip()}")


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Five hosts in a row; host i reaches host i+1 at 10.77.i.2."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root, and ip from iproute2")
    names = [f"echobench-{os.getpid()}-{number}" for number in range(HOSTS)]
    with contextlib.ExitStack() as cleanup:
        for name in names:
            ip_or_skip("netns", "add", name)
            cleanup.callback(ip, "netns", "del", name)
            ip_or_skip("-n", name, "link", "set", "lo", "up")
        for number in range(HOSTS - 1):
            join(names[number], names[number + 1], number)
        yield names


def join(left: str, right: str, number: int) -> None:
    ip_or_skip("-n", left, "link", "add", f"next{number}", "type", "veth",
               "peer", "name", f"prev{number}", "netns", right)
    for host, link, address in ((left, f"next{number}", f"10.77.{number}.1/24"),
                                (right, f"prev{number}", f"10.77.{number}.2/24")):
        ip_or_skip("-n", host, "address", "add", address, "dev", link)
        ip_or_skip("-n", host, "link", "set", link, "up")


@contextlib.contextmanager
def node(host: str, *options: str) -> Iterator[None]:
    """An echo-server on that host, on the default port."""
    with subprocess.Popen(["ip", "netns", "exec", host, str(PROGRAMS / "echo-server"), *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment()) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        try:
            if process.poll() == 4:
                pytest.skip(process.stderr.read().strip())
            assert line.startswith("listening on "), line + process.stderr.read()
            yield
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.mark.relays
def test_message_through_five_hosts(hosts: list[str], backend: Backend) -> None:
    """The client is on the first host, and so is the first node: the others are each a hop away."""
    with contextlib.ExitStack() as nodes:
        for number in reversed(range(HOSTS)):
            address = f"10.77.{number - 1}.2" if number > 0 else "127.0.0.1"
            options = [f"--backend={backend.name}", f"--sign={NAMES[number]}", f"--bind={address}"]
            if number + 1 < HOSTS:
                options.append(f"--relay=10.77.{number}.2")
            nodes.enter_context(node(hosts[number], *options))
        client = ["ip", "netns", "exec", hosts[0], str(PROGRAMS / "echo-client")]
        said = subprocess.run([*client, "127.0.0.1:8888", "hello"], capture_output=True, text=True,
                              timeout=30, env=environment(), check=False)
    assert (said.returncode, said.stdout) == (0, " > ".join(["hello", *NAMES]) + "\n"), said.stderr


def test_nothing_is_left_of_the_hosts() -> None:
    assert not list(Path("/run/netns").glob(f"echobench-{os.getpid()}-*"))
