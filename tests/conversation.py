"""The client's side of an echo: one socket that sends its data and checks every byte that comes
back, and many of them driven from one thread."""

import random
import select
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from expect import PATIENCE, Buffer, expect_same

RANDOM = random.Random(20)


class Ended(AssertionError):
    """The connection is over, by FIN or by reset, where more was expected of it."""


def random_bytes(size: int) -> bytes:
    return RANDOM.randbytes(size)


def distinct_data(count: int, size: int) -> list[memoryview]:
    """Data for `count` peers that agree nowhere for long, and yet share one block of memory."""
    step = 1009
    block = memoryview(random_bytes(size + step * count))
    return [block[step * i:step * i + size] for i in range(count)]


def random_pieces(data: bytes, seed: int) -> Iterator[memoryview]:
    """Cuts `data` into pieces of 1 B to 256 KiB, the small ones as likely as the large ones."""
    dice = random.Random(seed)
    view = memoryview(data)
    offset = 0
    while offset < len(view):
        size = int(2 ** dice.uniform(0, 18))
        yield view[offset:offset + size]
        offset += size


def receive(connection: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes."""
    received = bytearray()
    while len(received) < size:
        seen = f"expected {size} bytes, got {len(received)}"
        try:
            piece = connection.recv(min(size - len(received), 1 << 20))
        except TimeoutError:
            raise AssertionError(f"{seen}, then nothing for {connection.gettimeout()} s") from None
        except OSError as error:
            raise Ended(f"{seen}, then {error}") from None
        if not piece:
            raise Ended(f"{seen}, then the end of the stream")
        received += piece
    return bytes(received)


def expect_end(connection: socket.socket) -> None:
    """The stream ends here: neither a further byte nor a reset."""
    try:
        extra = connection.recv(4096)
    except TimeoutError:
        raise AssertionError(
            f"expected the end of the stream, nothing for {connection.gettimeout()} s") from None
    except OSError as error:
        raise AssertionError(f"expected the end of the stream, got {error}") from None
    assert not extra, f"expected the end of the stream, got {len(extra)} more bytes"


def expect_closed(connection: socket.socket) -> None:
    """The server has closed; whether by FIN or by RST is left to it."""
    try:
        extra = connection.recv(4096)
    except ConnectionResetError:
        return
    except TimeoutError:
        raise AssertionError(
            f"expected a closed connection, nothing for {connection.gettimeout()} s") from None
    assert not extra, f"expected a closed connection, got {len(extra)} bytes"


def ask(connection: socket.socket, message: bytes = b"Hello, world!") -> None:
    """One message there and back."""
    connection.sendall(message)
    expect_same(receive(connection, len(message)), message)


def exchange(connection: socket.socket, data: bytes, pieces: Iterable[Buffer],
             end: bool = False) -> None:
    """Sends `data` in `pieces` while reading it back; with `end`, half-closes after it."""
    def write() -> None:
        for piece in pieces:
            connection.sendall(piece)
        if end:
            connection.shutdown(socket.SHUT_WR)

    with ThreadPoolExecutor(1) as background:
        writing = background.submit(write)
        received = receive(connection, len(data))
        writing.result(timeout=PATIENCE)
    expect_same(received, data)


def reset(connection: socket.socket) -> None:
    """Ends the connection by RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def readable(connections: Sequence[socket.socket]) -> list[socket.socket]:
    """Those with an answer, or with an end, to read."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(0)}
    return [connection for connection in connections if connection.fileno() in ready]


class Conversation:
    """A socket that never blocks, the data it has to send and how far it got both ways."""

    def __init__(self, connection: socket.socket, data: Buffer, name: str = "") -> None:
        connection.setblocking(False)
        self.connection = connection
        self.data = memoryview(data)
        self.name = name or "connection"
        self.sent = 0
        self.received = 0

    def push(self, most: int = 1 << 20) -> int:
        """Sends what the socket takes now; how many bytes it took."""
        try:
            taken = self.connection.send(self.data[self.sent:self.sent + most])
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Ended(f"{self}: {error}") from None
        self.sent += taken
        return taken

    def pull(self) -> int:
        """Reads what is there and compares it; how many bytes there were."""
        try:
            piece = self.connection.recv(1 << 18)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Ended(f"{self}: {error}") from None
        if not piece:
            raise Ended(f"{self}: the server ended the stream")
        due = self.data[self.received:self.received + len(piece)]
        expect_same(piece, due, self.name, self.received)
        self.received += len(piece)
        return len(piece)

    def send_no_more(self) -> None:
        """What was sent so far is all there was to send."""
        self.data = self.data[:self.sent]

    def is_sent(self) -> bool:
        return self.sent == len(self.data)

    def is_complete(self) -> bool:
        return self.received == len(self.data)

    def __str__(self) -> str:
        return f"{self.name}: sent {self.sent} and got {self.received} of {len(self.data)} bytes"


def step(selector: selectors.BaseSelector, reading: bool) -> tuple[int, list[Conversation]]:
    """Moves whoever can move: the bytes moved, and those who have nothing left to do."""
    moved = 0
    finished = []
    for key, ready in selector.select(0.1):
        peer: Conversation = key.data
        if ready & selectors.EVENT_WRITE:
            moved += peer.push()
        if ready & selectors.EVENT_READ:
            moved += peer.pull()
        if peer.is_complete() if reading else peer.is_sent():
            finished.append(peer)
        elif reading and peer.is_sent() and key.events & selectors.EVENT_WRITE:
            selector.modify(peer.connection, selectors.EVENT_READ, peer)
    return moved, finished


def converse(peers: Sequence[Conversation]) -> None:
    """Everybody at once, until each has its data back; names those who were left out."""
    last_move = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            if not peer.is_complete():
                left = 0 if peer.is_sent() else selectors.EVENT_WRITE
                selector.register(peer.connection, selectors.EVENT_READ | left, peer)
        while selector.get_map():
            moved, finished = step(selector, reading=True)
            for peer in finished:
                selector.unregister(peer.connection)
            if moved:
                last_move = time.monotonic()
            elif time.monotonic() > last_move + PATIENCE:
                waiting = [key.data for key in selector.get_map().values()]
                raise AssertionError(f"nothing moved for {PATIENCE:g} s, {len(waiting)} of "
                                     f"{len(peers)} wait for their data; first {waiting[0]}")


def push_until_stuck(peers: Sequence[Conversation], quiet: float = 0.15) -> None:
    """Sends and reads nothing, until no peer got rid of another byte for `quiet` seconds."""
    last_move = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            selector.register(peer.connection, selectors.EVENT_WRITE, peer)
        while selector.get_map() and time.monotonic() < last_move + quiet:
            moved, finished = step(selector, reading=False)
            for peer in finished:
                selector.unregister(peer.connection)
            if moved:
                last_move = time.monotonic()


def conversations(connections: Sequence[socket.socket], size: int,
                  name: str = "connection") -> list[Conversation]:
    """One for each connection, each with other data of `size` bytes."""
    data = distinct_data(len(connections), size)
    return [Conversation(connection, data[number], f"{name} {number}")
            for number, connection in enumerate(connections)]


def greedy_peers(connections: Sequence[socket.socket]) -> list[Conversation]:
    """Peers that have sent as much as went in, and have read nothing."""
    more_than_fits = 64 << 20  # into the sockets of one connection, whatever the kernel's tuning
    peers = conversations(connections, more_than_fits, "greedy peer")
    push_until_stuck(peers)
    for peer in peers:
        assert not peer.is_sent(), f"{peer}: the server should have stopped reading long before"
    return peers
