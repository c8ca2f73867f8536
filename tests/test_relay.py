"""What goes through a relay: every byte, both ways, the half-close, the reset and the pressure."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chain import address_of, start_chain
from conversation import (ask, conversations, converse, exchange, expect_end, push_until_stuck,
                          random_bytes, random_pieces, receive, reset)
from expect import PATIENCE, expect_same, wait_until
from server_process import Backend, RunProgram, StartServer, scaled

pytestmark = pytest.mark.relays


class NextHop:
    """A next hop that the test plays itself."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections: list[socket.socket] = []

    def accept(self, receive_buffer: int = 0) -> socket.socket:
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE)
        self.connections.append(connection)
        return connection

    def close(self) -> None:
        for each in [self.listener, *self.connections]:
            each.close()


@pytest.fixture
def next_hop() -> Iterator[NextHop]:
    hop = NextHop()
    yield hop
    hop.close()


# ---- bytes

@pytest.mark.every_rung
@pytest.mark.parametrize("size", [0, 1, 4095, 64 << 10, 8 << 20])
def test_chain_returns_every_byte_and_then_the_end(start_server: StartServer, size: int) -> None:
    nodes = start_chain(start_server, 4)
    at_rest = [node.fds() for node in nodes]
    connection = nodes[0].connect()
    data = random_bytes(size)
    exchange(connection, data, random_pieces(data, size), end=True)
    expect_end(connection)
    for node, fds in zip(nodes, at_rest):
        node.await_fds(fds)


def test_many_at_once_get_their_own_bytes(start_server: StartServer) -> None:
    nodes = start_chain(start_server, 3)
    converse(conversations(nodes[0].connect_many(200), 50_000))


def test_500_connections_lose_nothing_under_load(start_server: StartServer,
                                                 run_program: RunProgram) -> None:
    nodes = start_chain(start_server, 4)
    run = run_program("loadgen", address_of(nodes[0]), "-c", "500", "-n", str(scaled(20_000)),
                      "--json=-", "--quiet", "--busy-poll=off", seconds=120)
    assert run.stdout, run.stderr  # on a busy machine the verdict may be that nothing can be said
    totals = json.loads(run.stdout)["totals"]
    assert totals["messages"] == scaled(20_000)
    assert (totals["unanswered"], totals["corrupt"], totals["errors"]) == (0, 0, {})


def test_connections_leave_nothing_behind(start_server: StartServer) -> None:
    nodes = start_chain(start_server, 2)
    at_rest = [node.fds() for node in nodes]
    for _ in range(scaled(300)):
        connection = nodes[0].connect()
        ask(connection)
        connection.close()
    for node, fds in zip(nodes, at_rest):
        node.await_fds(fds)


# ---- half-close

def test_half_close_travels_down_and_the_reply_back(start_server: StartServer,
                                                    next_hop: NextHop) -> None:
    connection = start_server(f"--relay={next_hop.address}").connect()
    connection.sendall(b"request")
    connection.shutdown(socket.SHUT_WR)
    hop = next_hop.accept()
    assert receive(hop, 7) == b"request"
    expect_end(hop)
    hop.sendall(b"a later reply")
    hop.close()
    assert receive(connection, 13) == b"a later reply"
    expect_end(connection)


def test_half_close_travels_up_and_leaves_the_other_way_open(start_server: StartServer,
                                                             next_hop: NextHop) -> None:
    node = start_server(f"--relay={next_hop.address}")
    at_rest = node.fds()
    connection = node.connect()
    hop = next_hop.accept()
    hop.sendall(b"banner")
    hop.shutdown(socket.SHUT_WR)
    assert receive(connection, 6) == b"banner"
    expect_end(connection)
    data = random_bytes(1 << 20)
    with ThreadPoolExecutor(1) as background:
        sending = background.submit(connection.sendall, data)
        expect_same(receive(hop, len(data)), data)
        sending.result(PATIENCE)
    connection.close()
    expect_end(hop)
    node.await_fds(at_rest)


# ---- reset

def expect_reset(connection: socket.socket) -> None:
    try:
        left = connection.recv(4096)
    except ConnectionResetError:
        return
    raise AssertionError(f"expected a reset, got {left!r}")


@pytest.mark.every_rung
@pytest.mark.parametrize("talked", [False, True])
def test_reset_of_the_client_travels_down(start_server: StartServer, next_hop: NextHop,
                                          talked: bool) -> None:
    node = start_server(f"--relay={next_hop.address}")
    at_rest = node.fds()
    connection = node.connect()
    hop = next_hop.accept()
    if talked:
        connection.sendall(b"hello")
        receive(hop, 5)
    else:
        hop.sendall(b"ready")
        receive(connection, 5)
    reset(connection)
    expect_reset(hop)
    node.await_fds(at_rest)


@pytest.mark.every_rung
def test_reset_of_the_next_hop_travels_up(start_server: StartServer, next_hop: NextHop) -> None:
    node = start_server(f"--relay={next_hop.address}")
    at_rest = node.fds()
    connection = node.connect()
    connection.sendall(b"hello")
    hop = next_hop.accept()
    receive(hop, 5)
    reset(hop)
    expect_reset(connection)
    node.await_fds(at_rest)


@pytest.mark.every_rung
def test_signed_bytes_outlive_the_client_that_sent_them(start_server: StartServer,
                                                        next_hop: NextHop) -> None:
    """The client's last line and its reset come in one batch: what the next hop still gets of that
    line is what the client sent."""
    node = start_server("--sign=al", f"--relay={next_hop.address}")
    line = b"x" * 60
    for _ in range(5):
        connection = node.connect()
        hop = next_hop.accept()
        for _ in range(20):  # so many small ones make io_uring's receive a multishot
            connection.sendall(b"warm\n")
            assert receive(hop, 10) == b"warm > al\n"
        node.pause()
        connection.sendall(line + b"\n")
        reset(connection)
        node.go_on()
        received = b""
        try:
            while piece := hop.recv(1000):
                received += piece
        except ConnectionResetError:
            pass
        assert (line + b" > al\n").startswith(received)


# ---- back-pressure

def test_pressure_holds_from_end_to_end(start_server: StartServer, next_hop: NextHop) -> None:
    """Where the next hop does not read, the client can't send; and nothing of what it could send is
    lost when the next hop reads at last."""
    node = start_server(f"--relay={next_hop.address}")
    peers = conversations([node.connect(slow=True) for _ in range(8)], 64 << 20)
    hops = [next_hop.accept(16 << 10) for _ in peers]
    before = node.resident_bytes()
    push_until_stuck(peers)
    assert node.resident_bytes() < before + (8 << 20), "the node keeps what the client sends"
    by_port = {peer.connection.getsockname()[1]: peer for peer in peers}
    assert len(by_port) == len(peers)
    for peer in peers:
        assert 0 < peer.sent < 64 << 20, f"{peer}: it should be stuck"
        peer.connection.shutdown(socket.SHUT_WR)
    starts = {bytes(peer.data[:64]): peer for peer in peers}

    def read_all(hop: socket.socket) -> None:
        first = receive(hop, 64)
        peer = starts[first]
        rest = receive(hop, peer.sent - 64)
        expect_same(rest, peer.data[64:peer.sent])
        expect_end(hop)

    with ThreadPoolExecutor(len(hops)) as readers:
        for reading in [readers.submit(read_all, hop) for hop in hops]:
            reading.result(PATIENCE * 3)


def test_one_stuck_way_does_not_hold_up_another(start_server: StartServer,
                                                next_hop: NextHop) -> None:
    node = start_server(f"--relay={next_hop.address}")
    greedy = conversations([node.connect(slow=True)], 64 << 20)
    next_hop.accept(16 << 10)
    push_until_stuck(greedy)
    connection = node.connect()
    hop = next_hop.accept()
    for number in range(100):
        connection.sendall(b"%d" % number)
        assert receive(hop, len(str(number))) == b"%d" % number
        hop.sendall(b"x")
        assert receive(connection, 1) == b"x"


# ---- what goes wrong

def test_unreachable_next_hop_closes_the_client_with_the_reason(start_server: StartServer,
                                                                next_hop: NextHop) -> None:
    next_hop.listener.close()
    node = start_server(f"--relay={next_hop.address}")
    at_rest = node.fds()
    for _ in range(3):
        assert node.connect().recv(100) == b""
    node.await_fds(at_rest)
    wait_until(lambda: "cannot reach the next hop: Connection refused" in node.stderr(),
               lambda: f"expected the reason on stderr, got {node.stderr()!r}")


def test_a_reset_right_after_the_accept_is_a_reset(start_server: StartServer,
                                                   next_hop: NextHop) -> None:
    """The next hop resets while the node still accepts the other clients, which were let wait for
    that: it hears of the reset no later than of its connection's standing."""
    node = start_server(f"--relay={next_hop.address}")
    node.process.send_signal(signal.SIGSTOP)
    clients = node.connect_many(100)
    with ThreadPoolExecutor(1) as hop:
        resets = hop.submit(reset_all, next_hop, len(clients))
        node.process.send_signal(signal.SIGCONT)
        resets.result(PATIENCE)
    for client in clients:
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def reset_all(next_hop: NextHop, count: int) -> None:
    for _ in range(count):
        reset(next_hop.accept())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def test_loop_is_noticed(start_server: StartServer, launch: StartServer,
                         backend: Backend) -> None:
    port = free_port()  # of the second node, which the first one has to know
    first = start_server(f"--relay=127.0.0.1:{port}")
    second = launch(f"--backend={backend.name}", f"--port={port}",
                    f"--relay={address_of(first)}")
    at_rest = first.fds(), second.fds()
    connection = first.connect()
    try:
        assert connection.recv(100) == b""
    except ConnectionResetError:
        pass
    wait_until(lambda: "leads back to itself" in first.stderr() + second.stderr(),
               "expected one of the nodes to say that the chain is a loop")
    first.await_fds(at_rest[0])
    second.await_fds(at_rest[1])
    accepted = first.counters()["accepted"] + second.counters()["accepted"]
    assert accepted < 150, f"expected it to be noticed early, {accepted} connections were made"


def test_relay_to_itself_is_refused(run_program: RunProgram) -> None:
    ended = run_program("echo-server", "--port=18888", "--relay=localhost:18888")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "--relay: 127.0.0.1:18888 is this server itself" in ended.stderr


def test_killed_node_ends_its_connections_on_both_sides(start_server: StartServer) -> None:
    nodes = start_chain(start_server, 4)
    at_rest = [node.fds() for node in nodes]
    connections = nodes[0].connect_many(20)
    for connection in connections:
        ask(connection)
    nodes[2].process.send_signal(signal.SIGKILL)
    nodes[2].process.wait(PATIENCE)
    for connection in connections:
        try:
            assert connection.recv(100) == b""
        except ConnectionResetError:
            pass
        connection.close()
    for number in (0, 1, 3):
        nodes[number].await_fds(at_rest[number])


# ---- a node's own life

def test_drain_loses_nothing(start_server: StartServer) -> None:
    nodes = start_chain(start_server, 3)
    connections = nodes[0].connect_many(20)
    data = random_bytes(300_000)
    received: list[bytes] = []

    def collect(connection: socket.socket) -> bytes:
        got = bytearray()
        while piece := connection.recv(1 << 16):
            got += piece
        return bytes(got)

    sent = threading.Barrier(len(connections) + 1)

    def talk(connection: socket.socket) -> bytes:
        connection.sendall(data[:100_000])
        sent.wait(PATIENCE)
        return collect(connection)

    with ThreadPoolExecutor(len(connections)) as clients:
        talks = [clients.submit(talk, connection) for connection in connections]
        sent.wait(PATIENCE)
        nodes[0].send_signal(signal.SIGTERM)
        received = [talk.result(PATIENCE * 2) for talk in talks]
    for got in received:
        expect_same(got, data[:100_000])
    assert nodes[0].await_exit(PATIENCE) == 0


def test_idle_client_is_closed_with_its_next_hop(start_server: StartServer,
                                                 next_hop: NextHop) -> None:
    node = start_server(f"--relay={next_hop.address}", "--idle-timeout=300ms")
    at_rest = node.fds()
    connection = node.connect()
    hop = next_hop.accept()
    expect_end(connection)
    expect_end(hop)
    node.await_fds(at_rest)


def test_limit_counts_clients(start_server: StartServer) -> None:
    echo = start_server()
    node = start_server(f"--relay={address_of(echo)}", "--max-connections=3")
    served = node.connect_many(3)
    for connection in served:
        ask(connection)
    try:
        assert node.connect().recv(100) == b""
    except ConnectionResetError:
        pass
    ask(served[0])


def test_relay_and_blocking_exclude_each_other(run_program: RunProgram) -> None:
    ended = run_program("echo-server", "--backend=blocking", "--relay=127.0.0.1:9", "--port=0")
    assert ended.returncode == 2
    assert "--relay" in ended.stderr and "blocking" in ended.stderr
