"""A crowd of clients that talk to an echo server, and compare every byte that comes back.

What a client says is a slice of one block of random bytes, from a place of its own, so that a byte
of another connection, or from another place of this one, is noticed. One thread moves them all.
"""

import random
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

PERIOD = 1_048_573  # the block's length is a prime, so that slices hardly meet again
PIECE = 256 << 10
BLOCK = random.Random(20).randbytes(PERIOD)
STREAM = BLOCK + BLOCK[:PIECE]  # so that each piece is one slice

NO_END = 1 << 60
PATIENCE_S = 30.0
MOST_PROBLEMS = 20
Address = tuple[str, int]


class Lost(Exception):
    """A client did not get back what it sent; the text says what it got."""


class Client:
    """One connection: how far it has sent, and how far it has checked what came back."""

    def __init__(self, address: Address, dice: random.Random, small_buffers: bool) -> None:
        self.connection = socket.socket()
        self.small_buffers = small_buffers
        if small_buffers:  # so that what it does not read is soon the server's burden
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
        self.connection.settimeout(PATIENCE_S)
        self.connection.connect(address)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.setblocking(False)
        self.start = dice.randrange(PERIOD)  # where its stream begins in the block
        self.sent = 0
        self.received = 0
        self.says_until = 0  # where in its stream the message ends
        self.reads_from = 0.0  # not before this time
        self.has_finished = False  # has half-closed
        self.moved_at = time.monotonic()

    def push(self) -> None:
        """Sends what the socket takes of the message."""
        while self.sent < self.says_until:
            piece = self._slice(self.sent, min(PIECE, self.says_until - self.sent))
            try:
                self.sent += self.connection.send(piece)
            except BlockingIOError:
                return
            except OSError as error:
                raise Lost(f"could not send: {error}") from None

    def pull(self) -> int:
        """Reads what is there and compares it: how many bytes. EOFError at an orderly end."""
        try:
            piece = self.connection.recv(PIECE)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Lost(f"was ended: {error}") from None
        if not piece:
            if self.has_finished and self.received == self.sent:
                raise EOFError
            raise Lost("got the end of the stream")
        if self.received + len(piece) > self.sent:
            raise Lost(f"got {len(piece)} bytes where {self.sent - self.received} were due")
        if piece != self._slice(self.received, len(piece)):
            raise Lost(f"got wrong bytes among the {len(piece)} that followed")
        self.received += len(piece)
        return len(piece)

    def reset(self) -> None:
        """Ends by RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def finish(self) -> None:
        """Says no more than it has said, and half-closes; the server owes the rest, and FIN."""
        self.says_until = self.sent
        self.has_finished = True
        self.connection.shutdown(socket.SHUT_WR)

    def _slice(self, position: int, size: int) -> bytes:
        at = (self.start + position) % PERIOD
        return STREAM[at : at + size]


@dataclass
class Tally:
    """What a crowd has done so far."""

    connections: int = 0
    messages: int = 0
    bytes_checked: int = 0
    bytes_lost: int = 0
    half_closes: int = 0
    resets: int = 0
    slow_readers: int = 0


class Crowd:
    """Clients that send a message, await it, and send the next; who leaves is replaced."""

    def __init__(self, address: Address, dice: random.Random) -> None:
        self.tally = Tally()
        self.problems: list[str] = []
        self.clients: set[Client] = set()
        self._address = address
        self._dice = dice
        self._selector = selectors.DefaultSelector()
        self._talks = True

    def close(self) -> None:
        """Ends all connections at once."""
        for client in self.clients:
            client.connection.close()
        self._selector.close()

    # ---- what the clients do

    def come(self, count: int) -> None:
        """So many further clients; one of four will be a slow reader when its time comes."""
        for _ in range(count):
            small = self.tally.connections % 4 == 0
            try:
                client = Client(self._address, self._dice, small)
            except OSError as error:
                self._problem(f"could not connect: {error}")
                continue
            self.tally.connections += 1
            self.clients.add(client)
            self._selector.register(client.connection, selectors.EVENT_READ, client)
            self._guarded(client, partial(self._talk, client))

    def one_leaves(self, another_comes: bool = True) -> None:
        """By a half-close."""
        if leaving := self._any_of(lambda client: not client.has_finished):
            self._finish(leaving)
            self.come(int(another_comes))

    def one_resets(self) -> None:
        """In the middle of a message; another comes."""
        leaving = self._any_of(lambda client: not client.has_finished)
        if leaving is None:
            return
        leaving.says_until = leaving.sent + PIECE
        self._guarded(leaving, leaving.push)
        if leaving in self.clients:
            self.tally.resets += 1
            self._forget(leaving)
            leaving.reset()
        self.come(1)

    def one_reads_nothing(self, seconds: float) -> None:
        """For so long, and sends until nothing goes in."""
        def awake(client: Client) -> bool:
            return client.small_buffers and not client.reads_from and not client.has_finished

        if slow := self._any_of(awake):
            self.tally.slow_readers += 1
            slow.says_until = NO_END
            slow.reads_from = time.monotonic() + seconds
            self._guarded(slow, slow.push)
            self._attend(slow)

    def say_no_more(self) -> None:
        """No message follows those that are under way."""
        self._talks = False
        for client in list(self.clients):
            client.says_until = client.sent if client.reads_from else client.says_until

    def is_silent(self) -> bool:
        """Nobody is owed anything."""
        return all(client.received == client.sent == client.says_until for client in self.clients)

    def all_finish(self) -> None:
        """Half-closes every connection."""
        for client in [each for each in self.clients if not each.has_finished]:
            self._finish(client)

    # ---- a turn

    def step(self, seconds: float) -> None:
        """Moves whoever can move, after waiting for one that can."""
        now = time.monotonic()
        for client in [each for each in self.clients if 0 < each.reads_from <= now]:
            self._wake(client)
        for key, ready in self._selector.select(seconds):
            client = key.data
            self._guarded(client, partial(self._serve, client, ready))

    def look_for_stuck(self) -> None:
        """A client that is owed something and got nothing for long has lost it."""
        longest_ago = time.monotonic() - PATIENCE_S
        for client in list(self.clients):
            owed = client.received < client.sent or client.has_finished
            if owed and not client.reads_from and client.moved_at < longest_ago:
                self._lose(client, f"got nothing for {PATIENCE_S:g} s")

    def _serve(self, client: Client, ready: int) -> None:
        client.moved_at = time.monotonic()
        if ready & selectors.EVENT_WRITE:
            client.push()
        if ready & selectors.EVENT_READ:
            self.tally.bytes_checked += client.pull()
        if client.received == client.says_until and not client.has_finished:
            self.tally.messages += 1
            self._talk(client)
        self._attend(client)

    def _talk(self, client: Client) -> None:
        """The next message: 1 B to 64 KiB, the small ones as likely as the large ones."""
        if self._talks:
            client.says_until = client.sent + int(2 ** self._dice.uniform(0, 16))
            client.push()
            self._attend(client)

    def _wake(self, client: Client) -> None:
        client.reads_from = 0.0
        client.moved_at = time.monotonic()
        client.says_until = client.sent
        self._attend(client)

    def _finish(self, client: Client) -> None:
        client.reads_from = 0.0
        client.moved_at = time.monotonic()
        self.tally.half_closes += 1
        self._guarded(client, client.finish)
        self._attend(client)

    def _attend(self, client: Client) -> None:
        """Has the selector tell what the client waits for."""
        if client not in self.clients:
            return
        reads = 0 if client.reads_from else selectors.EVENT_READ
        writes = selectors.EVENT_WRITE if client.sent < client.says_until else 0
        if self._selector.get_key(client.connection).events != (reads | writes):
            self._selector.modify(client.connection, reads | writes, client)

    # ---- how a client ends

    def _guarded(self, client: Client, act: Callable[[], None]) -> None:
        try:
            act()
        except EOFError:
            self._forget(client)
            client.connection.close()
        except (Lost, OSError) as error:
            self._lose(client, str(error))

    def _lose(self, client: Client, what: str) -> None:
        self.tally.bytes_lost += client.sent - client.received
        self._problem(f"a client {what}, after {client.received} of {client.sent} bytes")
        self._forget(client)
        client.connection.close()

    def _problem(self, text: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)

    def _forget(self, client: Client) -> None:
        self.clients.remove(client)
        self._selector.unregister(client.connection)

    def _any_of(self, suits: Callable[[Client], bool]) -> Client | None:
        return _choice(self._dice, filter(suits, self.clients))


def _choice(dice: random.Random, clients: Iterable[Client]) -> Client | None:
    found = sorted(clients, key=lambda client: client.connection.fileno())
    return dice.choice(found) if found else None
