"""Thousands of silent peers are closed when their time is up; thousands that send a byte now and
then stay."""

import socket
import time
from collections.abc import Callable

import pytest

from conversation import Ended, expect_end, readable, receive
from evidence import Evidence
from expect import PATIENCE, expect_same
from scale import FULL, tries
from server_process import Backend, StartServer, scaled

TIMEOUT = 2.0 if FULL else 0.6  # seconds
EVERY = 1.0 if FULL else 0.15  # seconds from a byte to the next
FEW = 2_000  # threads that most machines can start, descriptors that poll can ask about each time
CONNECTED_IN_ONE_GO = 500


class Dribblers:
    """Peers that send a byte each, and again. `longest_silence` is what the server may have seen of
    any of them, at most."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self.began = time.monotonic()
        self.longest_silence = 0.0
        self.rounds = 0

    def send_a_byte_each(self) -> None:
        last, self.began = self.began, time.monotonic()
        byte = bytes([self.rounds % 256])
        self.rounds += 1
        try:
            for connection in self.connections:
                connection.sendall(byte)
            self.longest_silence = max(self.longest_silence, time.monotonic() - last)
            for connection in self.connections:
                expect_same(receive(connection, 1), byte, "a dribbler")
        except (Ended, ConnectionError) as failure:
            silence = max(self.longest_silence, time.monotonic() - last)
            if silence > 0.8 * TIMEOUT:
                pytest.skip(f"this machine kept the clients from sending for {silence:.1f} s")
            raise AssertionError(f"expected a peer that is silent for {silence:.1f} s at most to "
                                 f"stay: {failure}") from None

    def rest(self, meanwhile: Callable[[], None]) -> None:
        while time.monotonic() < self.began + EVERY:
            meanwhile()
            time.sleep(0.02)


def test_the_silent_are_closed_and_dribblers_stay(start_server: StartServer, backend: Backend,
                                                  evidence: Evidence) -> None:
    most = FEW if backend.name in ("blocking", "poll") else 10_000
    idle_count = min(most, scaled(tries(200, 10_000)))
    dribbler_count = min(most, scaled(tries(100, 5_000)))
    server = start_server(f"--idle-timeout={round(TIMEOUT * 1000)}ms")
    at_rest = server.fds()

    idle = server.connect_many(idle_count)
    silent_since = time.monotonic()
    dribblers = Dribblers()
    while len(dribblers.connections) < dribbler_count:
        left = dribbler_count - len(dribblers.connections)
        dribblers.connections += server.connect_many(min(CONNECTED_IN_ONE_GO, left))
        dribblers.send_a_byte_each()
    open_for = 0.0

    def look() -> None:
        nonlocal open_for
        if open_for == 0.0 and len(readable(idle)) == len(idle):
            open_for = time.monotonic() - silent_since

    while open_for == 0.0 or time.monotonic() < silent_since + 2 * TIMEOUT:
        dribblers.send_a_byte_each()
        dribblers.rest(look)
        assert time.monotonic() < silent_since + TIMEOUT + PATIENCE or open_for > 0.0, (
            f"expected {idle_count} silent peers to be closed, {len(readable(idle))} are")

    for connection in idle:
        expect_end(connection)
        connection.close()
    server.await_fds(at_rest + dribbler_count)
    counters = server.counters()
    assert counters["timed_out"] == idle_count, f"expected timed_out={idle_count}: {counters}"
    evidence("idle peers, dribblers", idle=idle_count, timeout_ms=round(TIMEOUT * 1000),
             last_gone_after_ms=round(open_for * 1000), dribblers=dribbler_count,
             bytes_from_each=dribblers.rounds, dribblers_lost=0)
