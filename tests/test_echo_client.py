"""echo-client, Task 1's client: sends each argument, or each line of stdin, and prints what came
back."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator

import pytest

from loadgen_fixtures import (WATCHDOG, CountingEcho, Server, lecture_server, lying_server,
                              nobody_listens, one_line, run, start, stopped_at_end)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with lying_server("none") as one:
        yield one


def test_each_argument_comes_back_on_a_line(server: Server) -> None:
    ran = run("echo-client", server.address, "Hello, world!", "second")
    assert (ran.status, ran.stdout, ran.stderr) == (0, "Hello, world!\nsecond\n", "")


def test_an_argument_goes_out_as_a_line() -> None:
    with CountingEcho() as server:
        assert run("echo-client", server.address, "Hello, ", "Wörld").status == 0
        assert bytes(server.data) == "Hello, \nWörld\n".encode()


def test_each_line_of_stdin_comes_back(server: Server) -> None:
    ran = run("echo-client", server.address, input=b"one\ntwo\n\nthree\n")
    assert (ran.status, ran.stdout, ran.stderr) == (0, "one\ntwo\n\nthree\n", "")


def test_the_last_line_needs_no_newline(server: Server) -> None:
    ran = run("echo-client", server.address, input=b"one\ntwo")
    assert (ran.status, ran.stdout) == (0, "one\ntwo\n")


def test_nothing_to_send(server: Server) -> None:
    ran = run("echo-client", server.address, input=b"")
    assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")


def test_bytes_that_are_no_text(server: Server) -> None:
    data = bytes(value for value in range(256) if value != ord("\n")) + b"\n"
    ran = run("echo-client", server.address, input=data * 3)
    assert ran.status == 0
    assert ran.stdout.encode(errors="surrogateescape") == data * 3


def test_a_long_line(server: Server) -> None:
    # More than the buffers of both sockets hold: who only sends, and then reads, hangs.
    line = b"0123456789abcdef" * (1 << 20) + b"\n"
    ran = run("echo-client", server.address, input=line)
    assert ran.status == 0 and ran.stdout.encode() == line


def test_a_reply_in_pieces_is_one_message() -> None:
    with lying_server("dribble") as server:
        ran = run("echo-client", server.address, "in many pieces", "and again")
    assert (ran.status, ran.stdout) == (0, "in many pieces\nand again\n")


def test_a_reply_comes_before_the_next_line_is_typed(server: Server) -> None:
    process = start("echo-client", server.address, stdin=subprocess.PIPE)
    with stopped_at_end(process):
        assert process.stdin and process.stdout
        for line in (b"first\n", b"second\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert select.select([process.stdout], [], [], WATCHDOG)[0], "no reply"
            assert os.read(process.stdout.fileno(), 100) == line
        process.stdin.close()
        assert process.wait(WATCHDOG) == 0


def test_the_lecture_server() -> None:
    with lecture_server() as server:
        ran = run("echo-client", server.address, "Hello, world!")
        assert (ran.status, ran.stdout) == (0, "Hello, world!\n")
        assert server.process.wait(WATCHDOG) == 0, "it did not see the connection's end"


def test_ipv6() -> None:
    with lying_server("none", bind="::1") as server:
        assert run("echo-client", server.address, "six").stdout == "six\n"


def test_it_does_not_vouch_for_another_answer() -> None:
    with lying_server("flip", at=3, every=0) as server:
        ran = run("echo-client", server.address, "message")
    assert ran.status == 3 and one_line(ran.stderr), ran
    assert ran.stdout.startswith("mes"), "it prints what came back"


@pytest.mark.parametrize("fault", ["extra", "duplicate"])
def test_it_does_not_vouch_for_more_than_the_answer(fault: str) -> None:
    with lying_server(fault, size=len("message\n"), at=0, every=0) as server:
        ran = run("echo-client", server.address, "message")
    assert ran.status == 3 and one_line(ran.stderr), ran


@pytest.mark.parametrize("fault", ["close", "close-inside", "close-on-accept"])
def test_a_reply_that_ends_early(fault: str) -> None:
    with lying_server(fault, size=7, at=0, every=0) as server:
        ran = run("echo-client", server.address, "message")
    assert ran.status == 3 and one_line(ran.stderr), ran
    assert "closed" in ran.stderr


def test_a_reset() -> None:
    with lying_server("reset", size=7, at=0, every=0) as server:
        ran = run("echo-client", server.address, "message")
    assert ran.status in (1, 3) and one_line(ran.stderr) and "reset" in ran.stderr, ran


def test_nothing_listens() -> None:
    with nobody_listens() as address:
        ran = run("echo-client", address, "message")
    assert ran.status == 1 and ran.stdout == "", ran
    assert one_line(ran.stderr) and address in ran.stderr and "refused" in ran.stderr, ran


@pytest.mark.parametrize("arguments", [
    ["127.0.0.1:65536", "m"], ["127.0.0.1:x", "m"], ["127.0.0.1:0", "m"], ["--nonsense"],
])
def test_bad_usage_is_one_line(arguments: list[str]) -> None:
    ran = run("echo-client", *arguments)
    assert ran.status == 2 and ran.stdout == "" and one_line(ran.stderr), ran


def test_help_and_version() -> None:
    shown = run("echo-client", "--help")
    assert shown.status == 0 and "HOST:PORT" in shown.stdout and shown.stderr == ""
    assert run("echo-client", "--version").status == 0


def test_a_full_stdout(server: Server) -> None:
    with open("/dev/full", "wb") as full:
        ran = run("echo-client", server.address, "message", stdout=full)
    assert ran.status == 1 and "No space left" in ran.stderr


def test_interrupted_while_it_waits() -> None:
    with CountingEcho(silent=True) as server:
        process = start("echo-client", server.address, "message")
        with stopped_at_end(process):
            server.wait_for_bytes(len("message"), process)
            process.send_signal(signal.SIGINT)
            status = process.wait(WATCHDOG)
            # Its shell sees 130 in both cases: by exit, or by the signal's default action.
            assert status in (130, -signal.SIGINT)
