"""What echo-server takes, what it prints, and what its exit code says."""

import re
import socket

import pytest

from conversation import ask
from server_process import Backend, EchoServer, NotListening, RunProgram, StartServer

OPTIONS = ["--backend", "--bind", "--port", "--backlog", "--max-connections", "--idle-timeout",
           "--drain-timeout", "--busy-poll", "--cpu", "--user", "--sandbox", "--help", "--version"]

BAD_VALUES = [
    "--backend=kqueue", "--backend=", "--backend=EPOLL",
    "--port=-1", "--port=65536", "--port=http", "--port=", "--port=8888x", "--port= 1",
    "--port=18446744073709551615", "--port=99999999999999999999999",
    "--backlog=-1", "--backlog=0", "--backlog=many", "--backlog=1.5",
    "--max-connections=-1", "--max-connections=0", "--max-connections=18446744073709551616",
    "--max-connections=ten",
    "--idle-timeout=-5s", "--idle-timeout=soon", "--idle-timeout=5 parsecs", "--idle-timeout=",
    "--drain-timeout=-1s", "--drain-timeout=ever",
    "--busy-poll=sometimes", "--busy-poll=-50us",
    "--cpu=-1", "--cpu=first",
    "--user=", "--user=no-such-user", "--user=root",
    "--sandbox=", "--sandbox=maybe", "--sandbox=ON",
]


@pytest.mark.parametrize("argument", BAD_VALUES)
def test_bad_value(run_program: RunProgram, argument: str) -> None:
    option, value = argument.split("=")
    ended = run_program("echo-server", argument)
    assert ended.returncode == 2, f"expected exit code 2, got {ended}"
    assert ended.stdout == "", f"expected an empty stdout, got {ended.stdout!r}"
    assert len(ended.stderr.splitlines()) == 1, f"expected one line, got {ended.stderr!r}"
    assert option in ended.stderr, f"expected {option} to be named in {ended.stderr!r}"
    assert value in ended.stderr, f"expected {value} to be quoted in {ended.stderr!r}"
    explained = ended.stderr.replace(option, "").replace(value or "''", "", 1)
    assert len(re.findall(r"\w+", explained)) > 3, f"expected what is allowed in {ended.stderr!r}"


@pytest.mark.parametrize("argument", ["--nonsense", "--nonsense=1", "-x", "surplus"])
def test_unknown_argument(run_program: RunProgram, argument: str) -> None:
    ended = run_program("echo-server", argument)
    assert ended.returncode == 2, f"expected exit code 2, got {ended}"
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, f"expected one line, got {ended.stderr!r}"
    assert argument.split("=")[0] in ended.stderr


def test_leading_zero_is_never_octal(launch: StartServer) -> None:
    """010 may be refused, and else it is ten."""
    try:
        server = launch("--port=0", "--max-connections=010")
    except NotListening as refusal:
        assert refusal.exit_code == 2
    else:
        for connection in server.connect_many(10):
            ask(connection)


def test_unknown_backend_names_those_there_are(run_program: RunProgram) -> None:
    ended = run_program("echo-server", "--backend=kqueue")
    assert ended.returncode == 2
    for name in ("epoll", "io_uring", "auto"):
        assert name in ended.stderr


def test_help(run_program: RunProgram) -> None:
    ended = run_program("echo-server", "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for option in OPTIONS:
        assert option in ended.stdout, f"expected {option} in the help"


def test_version(run_program: RunProgram) -> None:
    ended = run_program("echo-server", "--version")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"echo-server \d+\.\d+\S*.*\n", ended.stdout), ended.stdout


@pytest.mark.parametrize("option", [
    "--backlog=1k", "--max-connections=1k", "--idle-timeout=off", "--idle-timeout=5m",
    "--idle-timeout=1.5s", "--drain-timeout=250ms", "--busy-poll=50us", "--busy-poll=off"])
def test_units_as_people_write_them(launch: StartServer, option: str) -> None:
    ask(launch("--port=0", option).connect())


def test_epoll_is_the_default(launch: StartServer) -> None:
    assert launch("--port=0").backend == "epoll"


def test_listening_line_ipv4(server: EchoServer, backend: Backend) -> None:
    assert server.line == f"listening on 127.0.0.1:{server.port} ({backend.name})"
    assert server.port != 0
    ask(server.connect())


def test_listening_line_ipv6(start_server: StartServer, backend: Backend) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no ::1")
    server = start_server("--bind=::1")
    assert server.line == f"listening on [::1]:{server.port} ({backend.name})"
    ask(server.connect())


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_nothing_else_on_stdout(server: EchoServer) -> None:
    ask(server.connect())
    server.send_signal(15)
    server.await_exit(30)
    assert server.stdout() == "", "expected the listening line to be all of stdout"


def test_bind_beyond_loopback_warns(start_server: StartServer) -> None:
    server = start_server("--bind=0.0.0.0")
    assert server.line.startswith(f"listening on 0.0.0.0:{server.port} ")
    assert "0.0.0.0" in server.stderr(), f"expected a warning, stderr is {server.stderr()!r}"
    ask(server.connect())


def own_address(family: socket.AddressFamily, elsewhere: str) -> str:
    """The one that this machine would send from; asking sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))
        except OSError as error:
            pytest.skip(f"this machine has no way to {elsewhere}: {error}")
        return str(probe.getsockname()[0])


def expect_warning_of(launch: StartServer, address: str) -> None:
    server = launch("--port=0", f"--bind={address}")
    where = server.line.split()[2]
    expected = f"echo-server: anyone who reaches {where} can use this server"
    assert server.stderr().startswith(expected), server.stderr()
    assert len(server.stderr().splitlines()) == 1, server.stderr()


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "::ffff:0.0.0.0"])
def test_every_address_warns(launch: StartServer, address: str) -> None:
    if ":" in address and not has_ipv6():
        pytest.skip("this machine has no ::1")
    expect_warning_of(launch, address)


@pytest.mark.parametrize("family, elsewhere", [(socket.AF_INET, "192.0.2.1"),
                                               (socket.AF_INET6, "2001:db8::1")],
                         ids=["ipv4", "ipv6"])
def test_own_address_warns(launch: StartServer, family: socket.AddressFamily,
                           elsewhere: str) -> None:
    expect_warning_of(launch, own_address(family, elsewhere))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "localhost", "::1", "[::1]",
                                     "::ffff:127.0.0.1"])
def test_loopback_does_not_warn(launch: StartServer, address: str) -> None:
    if ":" in address and not has_ipv6():
        pytest.skip("this machine has no ::1")
    server = launch("--port=0", f"--bind={address}")
    ask(server.connect())
    assert server.stderr() == ""


def test_port_in_use(server: EchoServer, backend: Backend, run_program: RunProgram) -> None:
    ended = run_program("echo-server", f"--backend={backend.name}", f"--port={server.port}")
    assert (ended.returncode, ended.stdout) == (1, ""), f"expected exit code 1, got {ended}"
    assert len(ended.stderr.splitlines()) == 1, f"expected one line, got {ended.stderr!r}"
    assert str(server.port) in ended.stderr, f"expected the port in {ended.stderr!r}"
    ask(server.connect())


def test_address_of_another_machine(run_program: RunProgram) -> None:
    ended = run_program("echo-server", "--bind=192.0.2.1", "--port=0")
    assert (ended.returncode, ended.stdout) == (1, ""), f"expected exit code 1, got {ended}"
    assert len(ended.stderr.splitlines()) == 1, f"expected one line, got {ended.stderr!r}"
    assert "192.0.2.1" in ended.stderr


def test_cpu_that_is_not_there(run_program: RunProgram) -> None:
    ended = run_program("echo-server", "--cpu=1023", "--port=0")
    assert ended.returncode in (1, 2), f"expected exit code 1 or 2, got {ended}"
    assert len(ended.stderr.splitlines()) == 1, f"expected one line, got {ended.stderr!r}"
    assert "1023" in ended.stderr
