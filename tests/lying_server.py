#!/usr/bin/env python3
"""An echo server that lies: what a load generator must notice, it does on purpose.

It stands on Python's asyncio, so that nothing in it is shared with the programs under test. It
prints `listening on 127.0.0.1:PORT (python)` when it can accept. What it does wrong, and where,
follows from --fault, --seed, --at and --every alone. On SIGTERM it prints what it did
(`injected 3, received 64000 bytes on 4 connections`) and ends.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import random
import resource
import signal
import socket
import struct


class Schedule:
    """Says at which messages (or bytes) a fault is due: at `at`, then after every `every` more."""

    def __init__(self, at: int, every: int) -> None:
        self.next: int | None = at
        self.every = every
        self.seen = 0
        self.injected = 0

    def due_within(self, length: int) -> int | None:
        """How far into the next `length` units the fault is due, or None if beyond them."""
        if self.next is None or self.next >= self.seen + length:
            return None
        return self.next - self.seen

    def inject(self) -> None:
        assert self.next is not None
        self.injected += 1
        self.next = self.next + self.every if self.every else None


class Echo(asyncio.Protocol):
    """The control: every byte goes back as it came, and the connection ends after its peer's."""

    unit = "messages"
    options: argparse.Namespace
    schedule: Schedule
    rng: random.Random
    bytes_received = 0
    connections = 0

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.mute = False
        self.finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        Echo.connections += 1
        self.opened()

    def data_received(self, data: bytes) -> None:
        Echo.bytes_received += len(data)
        if not self.mute:
            self.received(data)

    def eof_received(self) -> bool:
        self.finished = True
        self.finish()
        return True

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def finish(self) -> None:
        """The peer has said its last word: flush what is owed, then close."""
        self.transport.close()

    def opened(self) -> None:
        pass

    def received(self, data: bytes) -> None:
        self.transport.write(data)

    def say_goodbye(self) -> None:
        """Sends FIN and reads on, because unread data would turn the FIN into a reset."""
        self.mute = True
        self.transport.write_eof()

    def reset(self) -> None:
        self.mute = True
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Dribble(Echo):
    """Correct: the bytes come back one at a time, one of each connection a turn of the loop."""

    def opened(self) -> None:
        self.owed = bytearray()

    def received(self, data: bytes) -> None:
        if not self.owed:
            asyncio.get_running_loop().call_soon(self.drip)
        self.owed += data

    def drip(self) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(self.owed[:1])
        del self.owed[:1]
        if self.owed:
            asyncio.get_running_loop().call_soon(self.drip)
        elif self.finished:
            self.transport.close()

    def finish(self) -> None:
        if not self.owed:
            self.transport.close()


class Delay(Echo):
    """Correct: everything comes back --delay seconds later."""

    def opened(self) -> None:
        self.owed: collections.deque[bytes] = collections.deque()

    def received(self, data: bytes) -> None:
        self.owed.append(data)
        asyncio.get_running_loop().call_later(self.options.delay, self.answer)

    def answer(self) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(self.owed.popleft())
        if self.finished and not self.owed:
            self.transport.close()

    def finish(self) -> None:
        if not self.owed:
            self.transport.close()


class Flip(Echo):
    """One bit is wrong in every --every bytes; which bit of the byte is random."""

    unit = "bytes"

    def received(self, data: bytes) -> None:
        reply = bytearray(data)
        while (offset := self.schedule.due_within(len(data))) is not None:
            reply[offset] ^= 1 << self.rng.randrange(8)
            self.schedule.inject()
        self.schedule.seen += len(data)
        self.transport.write(bytes(reply))


class PerMessage(Echo):
    """Answers whole messages of --size bytes; a subclass says what is done to the chosen one."""

    def opened(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()

    def received(self, data: bytes) -> None:
        size: int = self.options.size
        self.incoming += data
        whole = len(self.incoming) - len(self.incoming) % size
        for start in range(0, whole, size):
            message = bytes(self.incoming[start:start + size])
            self.last_in_hand = start + size == len(self.incoming)
            self.take(message)
            if self.mute:
                break
        del self.incoming[:whole]
        self.flush()

    def take(self, message: bytes) -> None:
        if self.schedule.due_within(1) is not None and self.can_lie():
            self.schedule.inject()
            self.lie(message)
        else:
            if self.schedule.next == self.schedule.seen:
                self.schedule.next += 1
            self.answer(message)
        self.schedule.seen += 1

    def flush(self) -> None:
        if self.outgoing and not self.transport.is_closing():
            self.transport.write(bytes(self.outgoing))
        self.outgoing.clear()

    def can_lie(self) -> bool:
        """Where this message cannot bear the fault, the next one gets it."""
        return True

    def answer(self, message: bytes) -> None:
        self.outgoing += message

    def lie(self, message: bytes) -> None:
        raise NotImplementedError


class Drop(PerMessage):
    """A message never comes back."""

    def lie(self, message: bytes) -> None:
        pass


class Duplicate(PerMessage):
    """A message comes back twice."""

    def lie(self, message: bytes) -> None:
        self.answer(message + message)


class Swap(PerMessage):
    """Two messages in a row on one connection come back in the other order."""

    def opened(self) -> None:
        super().opened()
        self.held = b""

    def can_lie(self) -> bool:
        return not self.held

    def answer(self, message: bytes) -> None:
        super().answer(message + self.held)
        self.held = b""

    def lie(self, message: bytes) -> None:
        self.held = message


class Foreign(PerMessage):
    """Two connections get each other's reply."""

    waiting: Foreign | None = None

    def opened(self) -> None:
        super().opened()
        self.queue: collections.deque[bytes] = collections.deque()

    def connection_lost(self, exc: Exception | None) -> None:
        if Foreign.waiting is self:
            Foreign.waiting = None

    def can_lie(self) -> bool:
        return Foreign.waiting is None

    def lie(self, message: bytes) -> None:
        Foreign.waiting = self
        self.queue.append(message)

    def answer(self, message: bytes) -> None:
        other = Foreign.waiting
        if other is self:
            self.queue.append(message)
        elif other is None:
            self.outgoing += message
        else:
            Foreign.waiting = None
            self.outgoing += other.queue.popleft()
            other.outgoing += message + b"".join(other.queue)
            other.queue.clear()
            other.flush()


class Truncate(PerMessage):
    """Up to half of a message is missing, from anywhere in it."""

    def lie(self, message: bytes) -> None:
        gone = self.rng.randint(1, max(1, len(message) // 2))
        start = self.rng.randint(0, len(message) - gone)
        self.answer(message[:start] + message[start + gone:])


class Garble(PerMessage):
    """A message comes back as noise of the same length."""

    def lie(self, message: bytes) -> None:
        self.answer(self.rng.randbytes(len(message)))


class Extra(PerMessage):
    """Noise follows a reply after which nothing is owed; the two leave in one segment."""

    def can_lie(self) -> bool:
        return self.last_in_hand

    def lie(self, message: bytes) -> None:
        self.answer(message + self.rng.randbytes(self.rng.randint(1, 40)))


class Close(PerMessage):
    """FIN in place of a reply, though more is owed."""

    def lie(self, message: bytes) -> None:
        self.flush()
        self.say_goodbye()


class CloseInside(PerMessage):
    """FIN inside a reply."""

    def lie(self, message: bytes) -> None:
        self.answer(message[:self.rng.randint(1, max(1, len(message) - 1))])
        self.flush()
        self.say_goodbye()


class Reset(PerMessage):
    """A reset in place of a reply."""

    def lie(self, message: bytes) -> None:
        self.flush()
        self.reset()


class CloseOnAccept(Echo):
    """FIN as soon as a connection was accepted."""

    def opened(self) -> None:
        self.schedule.injected += 1
        self.say_goodbye()


class Stall(Echo):
    """Accepts, and never reads."""

    def opened(self) -> None:
        self.schedule.injected += 1
        # Only after this call does asyncio begin to read.
        asyncio.get_running_loop().call_soon(self.transport.pause_reading)


class Discard(Echo):
    """Reads everything and answers nothing (RFC 863)."""

    def opened(self) -> None:
        self.schedule.injected += 1
        self.mute = True


class Chargen(Echo):
    """Sends characters without end and ignores what it reads (RFC 864)."""

    text = bytes(range(32, 127)) * 100

    def opened(self) -> None:
        self.schedule.injected += 1
        self.mute = True
        self.paused = False
        self.pump()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.pump()

    def pump(self) -> None:
        if not self.paused and not self.transport.is_closing():
            self.transport.write(self.text)
            asyncio.get_running_loop().call_soon(self.pump)


class Banner(Echo):
    """Greets before anything was asked, then echoes."""

    def opened(self) -> None:
        self.schedule.injected += 1
        self.transport.write(b"220 ready\r\n")


FAULTS: dict[str, type[Echo]] = {
    "none": Echo,
    "dribble": Dribble,
    "delay": Delay,
    "flip": Flip,
    "drop": Drop,
    "duplicate": Duplicate,
    "swap": Swap,
    "foreign": Foreign,
    "truncate": Truncate,
    "garble": Garble,
    "extra": Extra,
    "close": Close,
    "close-inside": CloseInside,
    "reset": Reset,
    "close-on-accept": CloseOnAccept,
    "stall": Stall,
    "discard": Discard,
    "chargen": Chargen,
    "banner": Banner,
}


def parse_arguments() -> argparse.Namespace:
    width = max(map(len, FAULTS))
    faults = "\n".join(f"  {name:{width}}  {(kind.__doc__ or '').splitlines()[0]}"
                       for name, kind in FAULTS.items())
    parser = argparse.ArgumentParser(
        description="An echo server that lies.", epilog=f"faults:\n{faults}",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fault", choices=FAULTS, default="none", metavar="KIND")
    parser.add_argument("--bind", default="127.0.0.1", help="address (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="default 0: any free one")
    parser.add_argument("--size", type=int, default=64,
                        help="bytes in a message, for the faults of messages (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    parser.add_argument("--at", type=int, metavar="N",
                        help="first fault at the Nth message (flip: byte), from 0, counted over "
                        "all connections (default: random, below --every)")
    parser.add_argument("--every", type=int, metavar="N",
                        help="and again after every N more; 0: once (default 1000000 bytes, "
                        "1000 messages)")
    parser.add_argument("--delay", type=float, default=0.02, metavar="SECONDS",
                        help="of --fault=delay (default %(default)s)")
    options = parser.parse_args()
    if options.size < 1:
        parser.error("--size: at least 1")
    return options


def prepare(options: argparse.Namespace) -> type[Echo]:
    kind = FAULTS[options.fault]
    every = options.every
    if every is None:
        every = 1_000_000 if kind.unit == "bytes" else 1000
    kind.options = options
    kind.rng = random.Random(options.seed)
    at = kind.rng.randrange(max(1, every)) if options.at is None else options.at
    kind.schedule = Schedule(at, every)
    return kind


def raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def name_of(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def serve(options: argparse.Namespace) -> None:
    kind = prepare(options)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = await loop.create_server(kind, options.bind, options.port, backlog=4096)
    print(f"listening on {name_of(server.sockets[0].getsockname())} (python)", flush=True)
    await ended.wait()
    server.close()
    print(f"injected {kind.schedule.injected}, received {Echo.bytes_received} bytes "
          f"on {Echo.connections} connections", flush=True)


def main() -> None:
    options = parse_arguments()
    raise_file_limit()
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
