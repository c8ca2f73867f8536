"""io_uring that is missing, forbidden or there in part: each of its three system calls refused.
Asked for, it is an error that says why; `auto` takes epoll instead, and says so."""

import errno
import os

import pytest

from conversation import exchange, random_bytes
from evidence import Evidence
from loadgen_fixtures import lying_server, one_line
from refusal import IO_URING, refuse
from server_process import RunProgram, StartServer

FAULT = "io_uring missing or forbidden"
MIB = 1 << 20

refused_calls = pytest.mark.parametrize("call", IO_URING)
refusals = pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS, errno.ENOMEM,
                                             errno.EINVAL], ids=errno.errorcode.get)


@refused_calls
@refusals
@pytest.mark.parametrize("command", [["echo-server", "--port=0"], ["loadgen", "127.0.0.1:1"]],
                         ids=["echo-server", "loadgen"])
def test_asked_for_it_is_exit_code_4(run_program: RunProgram, evidence: Evidence,
                                     command: list[str], call: str, error: int) -> None:
    ended = run_program(*command, "--backend=io_uring",
                        before_exec=refuse(IO_URING[call], error))
    assert ended.returncode == 4 and ended.stdout == "", ended
    assert one_line(ended.stderr) and "io_uring" in ended.stderr, ended
    reasons = (os.strerror(error), "io_uring_disabled", "not in this build", "provided-buffer")
    assert any(reason in ended.stderr for reason in reasons), ended.stderr
    evidence(FAULT, refusals=1)


@refused_calls
@refusals
def test_auto_serves_by_epoll_and_says_so(launch: StartServer, evidence: Evidence, call: str,
                                          error: int) -> None:
    server = launch("--backend=auto", "--port=0", before_exec=refuse(IO_URING[call], error))
    assert server.line.endswith(" (epoll)")
    assert "io_uring" in server.stderr() and "epoll" in server.stderr(), server.stderr()
    data = random_bytes(MIB)
    exchange(server.connect(), data, [data])
    evidence(FAULT, refusals=1, bytes_checked=MIB, bytes_lost=0)


@refused_calls
@refusals
def test_auto_loads_by_epoll(run_program: RunProgram, evidence: Evidence, call: str,
                             error: int) -> None:
    with lying_server("none") as server:
        ended = run_program("loadgen", server.address, "-n", "200", "-c", "5", "-w", "0s",
                            "--json=-", "--quiet", before_exec=refuse(IO_URING[call], error))
    assert ended.returncode == 0 and '"backend": "epoll"' in ended.stdout, ended
    evidence(FAULT, refusals=1, messages=200, messages_lost=0)
