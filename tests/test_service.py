"""echo-server as a service: the listening socket that it is handed, what it tells the service
manager, and the units in packaging/systemd."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conversation import ask, exchange, expect_end, greedy_peers, random_bytes, reset
from expect import PATIENCE, wait_until
from server_process import (PROGRAMS, SANITIZER, SANITIZER_OPTIONS, Backend, EchoServer,
                            NotListening, RunProgram, StartServer)

HAND_OVER = str(Path(__file__).resolve().with_name("hand_over.py"))
UNITS = PROGRAMS.parent / "packaging" / "systemd"
MIB = 1 << 20
UNAVAILABLE = 4

SANDBOXES = ["off", "on"] + ([] if SANITIZER else ["strict"])
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def listener(address: str = "127.0.0.1", family: int = socket.AF_INET) -> socket.socket:
    made = socket.socket(family)
    made.bind((address, 0))
    made.listen()
    return made


@pytest.fixture
def handed() -> Iterator[socket.socket]:
    with listener() as made:
        yield made


def through_hand_over(*sockets: socket.socket) -> list[str]:
    return [sys.executable, "-B", HAND_OVER, ",".join(str(each.fileno()) for each in sockets)]


Start = Callable[..., EchoServer]


@pytest.fixture
def start_on(backend: Backend, launch: StartServer) -> Start:
    """Starts the backend under test on a socket that is handed over."""
    def start(handed: socket.socket, *options: str,
              environment: dict[str, str] | None = None) -> EchoServer:
        try:
            return launch(f"--backend={backend.name}", *options, through=through_hand_over(handed),
                          pass_fds=[handed.fileno()],
                          extra_environment={**backend.environment(), **(environment or {})})
        except NotListening as end:
            if end.exit_code == UNAVAILABLE:
                pytest.skip(end.stderr.strip())
            raise
    return start


# ---- the socket that is handed over

@pytest.mark.every_rung
def test_serves_on_the_socket(start_on: Start, handed: socket.socket) -> None:
    server = start_on(handed)
    assert server.port == handed.getsockname()[1]
    data = random_bytes(MIB)
    exchange(server.connect(), data, [data])


def test_whoever_comes_between_two_servers_waits(start_on: Start, handed: socket.socket) -> None:
    with socket.create_connection(handed.getsockname()) as early:
        ask_in_time(early, start_on(handed))
    first = start_on(handed)
    served = first.connect()
    ask(served)
    first.send_signal(signal.SIGTERM)
    assert first.await_exit(PATIENCE) == 0
    expect_end(served)
    with socket.create_connection(handed.getsockname()) as between:
        ask_in_time(between, start_on(handed))


def ask_in_time(connection: socket.socket, server: EchoServer) -> None:
    connection.settimeout(PATIENCE)
    ask(connection)
    server.send_signal(signal.SIGTERM)
    assert server.await_exit(PATIENCE) == 0


def test_tells_where_it_listens_and_who_can_come(launch: StartServer) -> None:
    with listener("::", socket.AF_INET6) as everywhere:
        server = launch(through=through_hand_over(everywhere), pass_fds=[everywhere.fileno()])
        assert server.line == f"listening on [::]:{everywhere.getsockname()[1]} (epoll)"
        assert "no access control" in server.stderr()
        ask(server.connect())


def test_relays_from_it(launch: StartServer, handed: socket.socket) -> None:
    """Also to the port that it would have bound itself."""
    last = launch("--port=0")
    server = launch(f"--relay=127.0.0.1:{last.port}", through=through_hand_over(handed),
                    pass_fds=[handed.fileno()])
    ask(server.connect())


@pytest.mark.parametrize("variables", [{"LISTEN_PID": "1"}, {"LISTEN_PID": ""},
                                       {"LISTEN_PID": "x"}])
def test_what_is_for_another_process_is_left_alone(launch: StartServer, handed: socket.socket,
                                                   variables: dict[str, str]) -> None:
    server = launch("--port=0", through=through_hand_over(handed), pass_fds=[handed.fileno()],
                    extra_environment=variables)
    assert server.port != handed.getsockname()[1]
    ask(server.connect())


@pytest.mark.parametrize("option", ["--bind=127.0.0.1", "--port=0", "--reuse-port",
                                    "--backlog=10"])
def test_options_that_contradict_it(launch: StartServer, handed: socket.socket,
                                    option: str) -> None:
    with pytest.raises(NotListening) as ended:
        launch(option, through=through_hand_over(handed), pass_fds=[handed.fileno()])
    assert (ended.value.exit_code, ended.value.stdout) == (2, "")
    assert re.fullmatch(f"echo-server: {option.split('=')[0]}: .*LISTEN_FDS.*\n",
                        ended.value.stderr), ended.value


def not_listening() -> socket.socket:
    return socket.socket()


def datagrams() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def of_this_host_only() -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind("")
    made.listen()
    return made


@pytest.mark.parametrize("make", [not_listening, datagrams, of_this_host_only])
def test_refuses_what_is_no_tcp_listener(launch: StartServer,
                                         make: Callable[[], socket.socket]) -> None:
    with make() as handed, pytest.raises(NotListening) as ended:
        launch(through=through_hand_over(handed), pass_fds=[handed.fileno()])
    assert (ended.value.exit_code, ended.value.stdout) == (1, "")
    assert ended.value.stderr == "echo-server: descriptor 3 is no TCP socket that listens\n"


@pytest.mark.parametrize("count", ["0", "", "-1", "2", "many", "99999999999999999999"])
def test_refuses_any_number_but_one(launch: StartServer, handed: socket.socket,
                                    count: str) -> None:
    with pytest.raises(NotListening) as ended:
        launch(through=through_hand_over(handed), pass_fds=[handed.fileno()],
               extra_environment={"LISTEN_FDS": count})
    assert (ended.value.exit_code, ended.value.stdout) == (1, "")
    assert re.fullmatch(f"echo-server: LISTEN_FDS={count}: .*\n", ended.value.stderr), ended.value


def test_refuses_two_sockets(launch: StartServer, handed: socket.socket) -> None:
    with listener() as other, pytest.raises(NotListening) as ended:
        launch(through=through_hand_over(handed, other),
               pass_fds=[handed.fileno(), other.fileno()])
    assert (ended.value.exit_code, ended.value.stdout) == (1, "")
    assert "LISTEN_FDS=2" in ended.value.stderr, ended.value


def test_systemd_activates_it(backend: Backend, launch: StartServer) -> None:
    if shutil.which("systemd-socket-activate") is None:
        pytest.skip("systemd-socket-activate is not there (systemd)")
    with listener() as free:
        port = free.getsockname()[1]
    inherited = [f"--setenv={name}" for name in SANITIZER_OPTIONS]
    server = launch(f"--backend={backend.name}", await_line=False, through=[
        "systemd-socket-activate", f"--listen=127.0.0.1:{port}", *inherited])
    wait_until(lambda: "Listening on" in server.stderr(),
               lambda: f"expected systemd-socket-activate to listen: {server.stderr()!r}")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            server.await_listening()
        except NotListening as end:
            if end.exit_code == UNAVAILABLE:
                pytest.skip(end.stderr.strip())
            raise
        assert server.port == port
        ask(connection)


# ---- what the manager is told

class Manager:
    """Who reads at NOTIFY_SOCKET."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)

    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.name}

    def hears(self) -> dict[str, str]:
        """The next message."""
        self._socket.settimeout(PATIENCE)
        text = self._socket.recv(4096).decode()
        assert text.endswith("\n")
        return dict(line.split("=", 1) for line in text.splitlines())

    def has_heard_nothing(self) -> bool:
        self._socket.setblocking(False)
        try:
            return not self._socket.recv(4096)
        except BlockingIOError:
            return True

    def is_deaf(self) -> None:
        """Its queue is full from now on."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    other.sendto(b"X=1", self._socket.getsockname())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_ready_and_stopping(start_server: StartServer, manager: Manager, sandbox: str) -> None:
    server = start_server(f"--sandbox={sandbox}", extra_environment=manager.environment())
    assert manager.hears() == {"READY": "1", "STATUS": server.line}
    connection = server.connect()
    ask(connection)
    assert manager.has_heard_nothing()
    server.send_signal(signal.SIGTERM)
    said = manager.hears()
    assert said["STOPPING"] == "1" and said["STATUS"], said
    assert server.await_exit(PATIENCE) == 0
    assert manager.has_heard_nothing()


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_abstract_name(launch: StartServer, sandbox: str) -> None:
    manager = Manager(f"@echobench-{os.getpid()}-{sandbox}")
    server = launch("--port=0", f"--sandbox={sandbox}", extra_environment=manager.environment())
    assert manager.hears() == {"READY": "1", "STATUS": server.line}
    server.send_signal(signal.SIGTERM)
    assert manager.hears()["STOPPING"] == "1"
    manager.close()


def test_stopping_is_told_while_it_drains(start_server: StartServer, manager: Manager) -> None:
    server = start_server("--drain-timeout=60s", extra_environment=manager.environment())
    assert manager.hears()["READY"] == "1"
    stuck = greedy_peers([server.connect(slow=True)])
    server.send_signal(signal.SIGTERM)
    assert manager.hears()["STOPPING"] == "1"
    assert not server.has_ended()
    for peer in stuck:
        peer.connection.close()
    assert server.await_exit(PATIENCE) == 0


def test_ready_on_a_socket_that_was_handed_over(start_on: Start, handed: socket.socket,
                                                manager: Manager) -> None:
    server = start_on(handed, environment=manager.environment())
    assert manager.hears() == {"READY": "1", "STATUS": server.line}


@only_root
@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_is_told_by_another_user_too(start_server: StartServer, tmp_path: Path,
                                     sandbox: str) -> None:
    """The way to the socket is root's alone."""
    tmp_path.chmod(0o700)
    manager = Manager(str(tmp_path / "notify"))
    server = start_server("--user=nobody", f"--sandbox={sandbox}", extra_environment={
        **manager.environment(),
        "ASAN_OPTIONS": SANITIZER_OPTIONS["ASAN_OPTIONS"] + ":detect_leaks=0"})
    assert manager.hears() == {"READY": "1", "STATUS": server.line}
    server.send_signal(signal.SIGTERM)
    assert manager.hears()["STOPPING"] == "1"
    manager.close()


def test_who_can_not_serve_is_not_ready(run_program: RunProgram, manager: Manager,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    with listener() as taken:
        ended = run_program("echo-server", f"--port={taken.getsockname()[1]}")
    assert ended.returncode == 1
    assert run_program("echo-server", "--help").returncode == 0
    assert manager.has_heard_nothing()


@pytest.mark.parametrize("name", ["/nowhere/notify", "@nobody-listens", "relative", "vsock:2:1", "",
                                  "/" + 200 * "x"])
def test_manager_who_is_not_there(launch: StartServer, name: str) -> None:
    server = launch("--port=0", extra_environment={"NOTIFY_SOCKET": name})
    assert re.fullmatch("echo-server: NOTIFY_SOCKET: .*\n", server.stderr()), server.stderr()
    ask(server.connect())


def test_manager_who_goes_away(start_server: StartServer, manager: Manager) -> None:
    server = start_server("--sandbox=on", extra_environment=manager.environment())
    assert manager.hears()["READY"] == "1"
    manager.close()
    server.send_signal(signal.SIGTERM)
    assert server.await_exit(PATIENCE) == 0
    assert "NOTIFY_SOCKET: not told" in server.stderr()


def test_manager_who_does_not_read(launch: StartServer, manager: Manager) -> None:
    manager.is_deaf()
    server = launch("--port=0", extra_environment=manager.environment())
    ask(server.connect())
    assert "NOTIFY_SOCKET: not told" in server.stderr()


# ---- the units

def analyze(*arguments: str | Path) -> str:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there (systemd)")
    done = subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """As they are installed, but with the program that was built."""
    for unit in UNITS.iterdir():
        text = re.sub(r"^ExecStart=\S+/", f"ExecStart={PROGRAMS}/", unit.read_text(), flags=re.M)
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def test_units_are_understood(units: Path) -> None:
    said = analyze("verify", "--man=no", units / "echo-server.service",
                   units / "echo-server.socket")
    assert said == "", said


def test_service_is_confined(units: Path) -> None:
    said = analyze("security", "--offline=yes", units / "echo-server.service")
    found = re.search(r"Overall exposure level for echo-server.service: ([0-9.]+)", said)
    assert found and float(found[1]) <= 1.5, said


def test_command_of_the_service_is_one(units: Path, run_program: RunProgram) -> None:
    text = (units / "echo-server.service").read_text()
    command = re.search(r"^ExecStart=\S+/(\S+) (.*)$", text, re.MULTILINE)
    assert command and "@" not in re.sub(r"(?m)^#.*|SystemCallFilter=.*", "", text), text
    assert run_program(command[1], *command[2].split(), "--version").returncode == 0


def test_overflows_are_counted_without_the_rest_of_proc(launch: StartServer) -> None:
    """ProcSubset=pid (systemd.exec(5))."""
    alone = ["unshare", "--mount", "sh", "-c",
             'mount -t proc -o subset=pid proc /proc && exec "$@"', "sh"]
    tried = subprocess.run([*alone, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no such /proc can be made here: {tried.stderr.strip()}")
    assert "listen_overflows" in launch("--port=0", through=alone).counters()


# ---- the service's filter of system calls (systemd.exec(5), SystemCallFilter=)

def calls_in(names: list[str]) -> set[str]:
    """The system calls among these, and those of the sets among these."""
    calls = {name for name in names if not name.startswith("@")}
    for name in set(names) - calls:
        lines = analyze("syscall-filter", name).splitlines()
        calls |= calls_in([line.strip() for line in lines if re.match(" +[@a-z]", line)])
    return calls


def calls_allowed(unit: str) -> set[str]:
    allowed = calls_in(["@default"])
    for value in re.findall("^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        if value.startswith("~"):
            allowed -= calls_in(value[1:].split())
        else:
            allowed |= calls_in(value.split())
    return allowed


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_service_may_make_the_calls_that_it_makes(backend: Backend, launch: StartServer,
                                                  handed: socket.socket, manager: Manager,
                                                  units: Path, sandbox: str) -> None:
    if SANITIZER or shutil.which("strace") is None:
        pytest.skip("strace is not there, or a sanitizer, which makes calls of its own, is")
    log = units / "calls"
    try:
        server = launch(f"--backend={backend.name}", f"--sandbox={sandbox}", "--idle-timeout=1h",
                        pass_fds=[handed.fileno()], extra_environment=manager.environment(),
                        through=["strace", "--daemonize", "--follow-forks", f"--output={log}",
                                 *through_hand_over(handed)])
    except NotListening as end:
        if end.exit_code == UNAVAILABLE:
            pytest.skip(end.stderr.strip())
        raise
    data = random_bytes(MIB)
    exchange(server.connect(), data, [data])
    greedy_peers([server.connect(slow=True)])
    reset(server.connect())
    server.counters()
    server.send_signal(signal.SIGTERM)
    server.send_signal(signal.SIGINT)
    server.await_exit(PATIENCE)
    wait_until(lambda: "+++ exited" in log.read_text(), "expected strace to see it end")
    _, _, life = log.read_text().partition(f'execve("{PROGRAMS}/echo-server"')
    made = set(re.findall(r"^\d+ +(\w+)\(", life, re.MULTILINE))
    assert {"read", "getsockopt"} < made, f"expected a server's calls, got {made}"
    refused = made - calls_allowed((units / "echo-server.service").read_text())
    assert not refused, f"expected SystemCallFilter to allow {refused}"
