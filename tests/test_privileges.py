"""--user: who has root's rights for his port has them no longer when he serves."""

import os
import pwd
import re
from pathlib import Path

import pytest

from conversation import ask, exchange, random_bytes, random_pieces
from server_process import (SANITIZER_OPTIONS, Backend, EchoServer, NotListening, RunProgram,
                            StartServer)

USER = "nobody"
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# It looks for leaks as a debugger does, and nobody may debug who has changed his user.
NO_LEAK_CHECK = {"ASAN_OPTIONS": SANITIZER_OPTIONS["ASAN_OPTIONS"] + ":detect_leaks=0"}


def start_as_nobody(start_server: StartServer, *options: str) -> EchoServer:
    return start_server(f"--user={USER}", *options, extra_environment=NO_LEAK_CHECK,
                        before_exec=lambda: os.setgroups([0, 1, 2]))


def status(server: EchoServer) -> dict[str, list[str]]:
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


@only_root
@pytest.mark.parametrize("sandbox", ["off", "on", "strict"])
def test_nothing_of_root_is_left(start_server: StartServer, sandbox: str) -> None:
    server = start_as_nobody(start_server, f"--sandbox={sandbox}")
    data = random_bytes(1 << 20)
    exchange(server.connect(), data, random_pieces(data, 1))
    found = status(server)
    entry = pwd.getpwnam(USER)
    assert found["Uid"] == 4 * [str(entry.pw_uid)]
    assert found["Gid"] == 4 * [str(entry.pw_gid)]
    assert found["Groups"] == []
    assert found["NoNewPrivs"] == ["1"]
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found[kind][0], 16) == 0, f"expected no capabilities, {kind} is {found[kind]}"


@only_root
def test_is_not_dumpable(start_server: StartServer) -> None:
    """Whoever else runs as this user can't look into its memory: what /proc has of it is root's."""
    server = start_as_nobody(start_server)
    assert os.stat(f"/proc/{server.pid}/mem").st_uid == 0


@only_root
def test_port_below_1024(launch: StartServer) -> None:
    for port in range(1023, 1000, -1):
        try:
            server = launch(f"--port={port}", f"--user={USER}", extra_environment=NO_LEAK_CHECK)
        except NotListening as taken:
            assert "cannot bind" in taken.stderr, taken
            continue
        return ask(server.connect())
    pytest.skip("every port from 1001 to 1023 is taken")


def test_needs_root(run_program: RunProgram, backend: Backend) -> None:
    def not_root() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)

    try:
        ended = run_program("echo-server", f"--user={USER}", "--port=0",
                            f"--backend={backend.name}", before_exec=not_root)
    except PermissionError as error:
        pytest.skip(f"nobody but root can run the program where it lies: {error}")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"echo-server: --user: only root .*\n", ended.stderr), ended.stderr


@pytest.mark.parametrize("name", ["no-such-user", "root", "0", "-1"])
def test_unknown_user(run_program: RunProgram, name: str) -> None:
    ended = run_program("echo-server", f"--user={name}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1 and name in ended.stderr, ended.stderr
