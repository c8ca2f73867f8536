"""The protocol has no framing, so whatever speaks TCP is a partner: netcat, and the lecture's own
client and server in Python, in both directions."""

import json
import shutil
import socket
import subprocess
import threading

import pytest

from conversation import random_bytes
from loadgen_fixtures import lecture_server
from server_process import EchoServer, RunProgram


def test_python_client_of_the_lecture(server: EchoServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect(server.address())
        client.sendall(b'Hello, world!')
        data = client.recv(1024)
    assert data == b'Hello, world!'


def test_echo_client_and_the_lecture_server(run_program: RunProgram) -> None:
    with lecture_server() as server:
        ended = run_program("echo-client", server.address, "Hello, world!", "and again")
    assert (ended.returncode, ended.stdout) == (0, "Hello, world!\nand again\n"), ended


def test_loadgen_and_the_lecture_server(run_program: RunProgram) -> None:
    with lecture_server() as server:
        ended = run_program("loadgen", server.address, "-c", "1", "-n", "100", "--json=-",
                            "--quiet")
    assert ended.returncode == 0, ended
    totals = json.loads(ended.stdout)["totals"]
    assert (totals["messages"], totals["corrupt"], totals["unanswered"]) == (100, 0, 0)


def netcat() -> str:
    """OpenBSD's netcat: the one that can half-close (-N) and whose -v names the port it got."""
    path = shutil.which("nc")
    if path is None:
        pytest.skip("nc is not installed")
    told = subprocess.run([path, "-h"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if "OpenBSD" not in told.stderr + told.stdout:
        pytest.skip(f"{path} is not OpenBSD's netcat")
    return path


@pytest.mark.parametrize("size", [14, 1 << 20])
def test_nc_as_client(server: EchoServer, size: int) -> None:
    host, port = server.address()
    data = random_bytes(size)
    ended = subprocess.run([netcat(), "-N", host, str(port)], input=data, capture_output=True,
                           timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == data, f"expected {size} bytes back, got {len(ended.stdout)} (or others)"


def test_nc_as_server(run_program: RunProgram) -> None:
    """`nc -l` prints what it gets and sends what it reads: joined, the two are an echo."""
    ours, its_own = socket.socketpair()
    with ours, subprocess.Popen([netcat(), "-v", "-n", "-l", "127.0.0.1", "0"], text=True,
                                stdin=its_own.fileno(), stdout=its_own.fileno(),
                                stderr=subprocess.PIPE) as process:
        its_own.close()
        try:
            assert process.stderr is not None
            port = int(process.stderr.readline().split()[-1])
            threading.Thread(target=join, args=(ours,), daemon=True).start()
            ended = run_program("echo-client", f"127.0.0.1:{port}", "Hello, world!")
        finally:
            process.kill()
    assert (ended.returncode, ended.stdout) == (0, "Hello, world!\n"), ended


def join(both_ends: socket.socket) -> None:
    while data := both_ends.recv(4096):
        both_ends.sendall(data)
