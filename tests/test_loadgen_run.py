"""loadgen as a program: exact counts, large messages, many connections, signals, exit status."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from loadgen_fixtures import (ENGINES, CountingEcho, Run, Server, check_result, finish,
                              lecture_server, loadgen, lying_server, nobody_listens, one_line, run,
                              start)


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    """One honest server for all the tests that only need an answer."""
    with lying_server("none") as server:
        yield server


def measured(run: Run) -> dict[str, Any]:
    """The totals of a run that went well."""
    assert run.status == 0, run
    totals: dict[str, Any] = run.result["totals"]
    assert (totals["corrupt"], totals["unanswered"], totals["errors"]) == (0, 0, {})
    return totals


# --- Exact counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [
    "-n 1", "-n 2", "-n 1000 -c 7 -p 3", "-n 3 -c 8", "-n 5 -p 16", "-n 100 -c 3 -p 50 -t 2",
    "-n 1 -c 5 -t 3 -p 2",
])
@pytest.mark.parametrize("engine", ENGINES)
def test_n_is_exact(engine: str, shape: str) -> None:
    asked = int(shape.split()[1])
    with lying_server("none") as server:
        totals = measured(loadgen(server.address, f"--backend={engine}", *shape.split()))
    assert totals["messages"] == asked
    assert totals["bytes_sent"] == totals["bytes_received"] == asked * 64
    assert server.bytes_received == asked * 64


def test_n_counts_the_window_and_not_the_warmup() -> None:
    with lying_server("none") as server:
        totals = measured(loadgen(server.address, "-n", 50, "-c", 2, "--warmup=50ms"))
    assert totals["messages"] == 50
    assert server.bytes_received > 50 * 64


def test_units_as_people_write_them(echo: Server) -> None:
    totals = measured(loadgen(echo.address, "-n", "1k", "-s", "1KiB", "-c", 4))
    assert totals["messages"] == 1000 and totals["bytes_sent"] == 1000 * 1024


@pytest.mark.parametrize("engine", ENGINES)
def test_connections_are_opened_once_and_closed(engine: str) -> None:
    with lying_server("none") as server:
        totals = measured(loadgen(server.address, f"--backend={engine}", "-n", 100, "-c", 20))
    assert totals["connections_opened"] == 20 and totals["connections_failed"] == 0
    assert server.connections == 20, "no probe, no second try"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_lecture_server_serves_one_connection(engine: str) -> None:
    with lecture_server() as server:
        totals = measured(loadgen(server.address, f"--backend={engine}", "-n", 300))
        assert totals["messages"] == 300
        assert server.process.wait(timeout=30) == 0, "it did not see the connection's end"


# --- Shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["-s 1MiB -c 4 -n 24", "-s 64MiB -n 2 -c 1", "-s 1MiB -p 4 -n 8",
                                   "-s 65535 -p 7 -n 70", "-s 65537 -p 7 -n 70"])
@pytest.mark.parametrize("engine", ENGINES)
def test_large_messages(echo: Server, engine: str, shape: str) -> None:
    totals = measured(loadgen(echo.address, f"--backend={engine}", *shape.split()))
    assert totals["messages"] == int(shape.split("-n ")[1].split()[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_thousand_connections(echo: Server, engine: str) -> None:
    totals = measured(loadgen(echo.address, f"--backend={engine}", "-c", 1000, "-n", 5000))
    assert totals["connections_opened"] == 1000 and totals["messages"] == 5000


@pytest.mark.parametrize("engine", ENGINES)
def test_two_threads(echo: Server, engine: str) -> None:
    run = loadgen(echo.address, f"--backend={engine}", "-t", 2, "-c", 5, "-d", "200ms")
    assert measured(run)["connections_opened"] == 5
    assert run.result["config"]["threads"] == 2
    assert run.result["latency_ns"]["count"] == run.result["totals"]["messages"] > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_ipv6(engine: str) -> None:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(lying_server("none", bind="::1"))
        except AssertionError:
            pytest.skip("no IPv6 on the loopback interface")
        run = loadgen(server.address, f"--backend={engine}", "-n", 100)
        assert measured(run)["messages"] == 100
        assert run.result["config"]["target"] == server.address == f"[::1]:{server.port}"


def test_a_name_as_target(echo: Server) -> None:
    measured(loadgen(f"localhost:{echo.port}", "-n", 10))


@pytest.mark.parametrize("mode", ["off", "always", "auto", "50us"])
@pytest.mark.parametrize("engine", ENGINES)
def test_busy_poll_changes_only_the_waiting(echo: Server, engine: str, mode: str) -> None:
    run = loadgen(echo.address, f"--backend={engine}", f"--busy-poll={mode}", "-n", 200, "-c", 2)
    assert measured(run)["messages"] == 200
    assert run.result["config"]["busy_poll"] == mode


def test_pinned_to_a_cpu(echo: Server) -> None:
    cpu = min(os.sched_getaffinity(0))
    run = loadgen(echo.address, f"--cpu={cpu}", "-n", 50)
    measured(run)
    assert run.result["config"]["cpu"] == [cpu]


def test_the_backend_in_use_is_named(echo: Server) -> None:
    run = loadgen(echo.address, "-n", 10)
    assert run.result["config"]["backend_requested"] == "auto"
    assert run.result["config"]["backend"] in ENGINES
    assert (run.result["context"]["io_uring_flags"] is None) == (
        run.result["config"]["backend"] == "epoll")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_asked_backend_is_the_one_in_use(echo: Server, engine: str) -> None:
    config = loadgen(echo.address, f"--backend={engine}", "-n", 10).result["config"]
    assert config["backend"] == config["backend_requested"] == engine


def test_seed_makes_the_payload() -> None:
    def payload(*arguments: object) -> bytes:
        with CountingEcho() as server:
            measured(loadgen(server.address, "-n", 50, *arguments))
            return bytes(server.data)

    assert payload("--seed=1") == payload("--seed=1") != payload("--seed=2")


def test_messages_are_distinct() -> None:
    with CountingEcho() as server:
        measured(loadgen(server.address, "-n", 400, "-c", 2, "-p", 4))
        data = bytes(server.data)
    pieces = {data[start:start + 64] for start in range(0, len(data), 64)}
    assert len(pieces) == 400, "a message that looks like another cannot be told from it"


# --- What it prints -------------------------------------------------------------------------------


def test_the_summary_is_for_people(echo: Server) -> None:
    run = run_plain(echo.address, "-d", "300ms", "-c", 2)
    assert run.status == 0 and run.stderr == "", run
    for word in ("p50", "p90", "p99", "max", "/s", "CPU", "verdict"):
        assert word.lower() in run.stdout.lower(), (word, run.stdout)
    assert "\x1b" not in run.stdout, "stdout is not a terminal"


def run_plain(target: str, *arguments: object) -> Run:
    return run("loadgen", target, "--warmup=0", *arguments)


def test_with_json_on_stdout_the_summary_is_on_stderr(echo: Server) -> None:
    run = loadgen(echo.address, "-n", 100)
    check_result(run.stdout)
    assert "p50" in run.stderr


def test_json_to_a_file_leaves_stdout_to_the_summary(echo: Server, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "result.json"
    run = run_plain(echo.address, "-n", 100, f"--json={target}")
    assert run.status == 0 and "p50" in run.stdout and run.stderr == ""
    assert check_result(target.read_text())["totals"]["messages"] == 100
    assert list(tmp_path.iterdir()) == [target], "it left something behind"


def test_json_replaces_the_file_of_an_earlier_run(echo: Server, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("x" * 100_000)
    assert run_plain(echo.address, "-n", 100, f"--json={target}").status == 0
    check_result(target.read_text())


def test_quiet_prints_nothing_but_the_result(echo: Server, tmp_path: pathlib.Path) -> None:
    run = loadgen(echo.address, "-n", 100, "--quiet")
    assert run.status == 0 and run.stderr == ""
    check_result(run.stdout)
    run = run_plain(echo.address, "-n", 100, "--quiet", f"--json={tmp_path / 'result.json'}")
    assert (run.status, run.stdout, run.stderr) == (0, "", "")


def test_quiet_does_not_hide_an_error() -> None:
    with nobody_listens() as address:
        run = run_plain(address, "--quiet")
    assert run.status == 1 and one_line(run.stderr)


def test_the_kind_of_error_is_in_the_summary() -> None:
    with lying_server("flip", every=6401) as server:
        run = run_plain(server.address, "-n", 1000, "-c", 2)
    assert run.status == 3
    assert re.search(r"flipped\D*10\b|\b10\D*flipped", run.stdout), run.stdout
    assert "invalid" in run.stdout


# --- Where the result cannot be written -----------------------------------------------------------


def result_not_written(run: Run) -> None:
    assert run.status == 1, run
    assert one_line(run.stderr), run.stderr
    assert "p50" in run.stdout, "the measurement is not thrown away"


def test_a_full_device(echo: Server, tmp_path: pathlib.Path) -> None:
    # Through a link, so that a program that writes beside the target and renames cannot replace
    # the machine's device.
    target = tmp_path / "full"
    target.symlink_to("/dev/full")
    run = run_plain(echo.address, "-n", 20, f"--json={target}")
    result_not_written(run)
    assert "No space left" in run.stderr
    assert list(tmp_path.iterdir()) == [target] and target.is_char_device()


def test_an_earlier_result_survives_a_failed_write(echo: Server, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("an earlier result\n")
    # Without the default action of SIGXFSZ a write beyond the limit fails with EFBIG.
    run = finish(start("loadgen", echo.address, "--warmup=0", "-n", 20, f"--json={target}",
                       preexec_fn=limit_file_size), time.monotonic())
    result_not_written(run)
    assert target.read_text() == "an earlier result\n"
    assert list(tmp_path.iterdir()) == [target]


def limit_file_size() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


def test_an_earlier_result_survives_a_run_that_could_not_start(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("an earlier result\n")
    with nobody_listens() as address:
        assert run_plain(address, f"--json={target}").status == 1
    assert target.read_text() == "an earlier result\n"


def test_a_full_stdout(echo: Server) -> None:
    with open("/dev/full", "wb") as full:
        run = finish(start("loadgen", echo.address, "--warmup=0", "-n", 20, "--json=-",
                           stdout=full), time.monotonic())
    assert run.status == 1 and "No space left" in run.stderr


# --- What cannot run ------------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 100])
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_listens(engine: str, connections: int) -> None:
    with nobody_listens() as address:
        run = run_plain(address, f"--backend={engine}", "-c", connections)
    assert run.status == 1 and run.stdout == "", run
    assert run.seconds < 1
    assert one_line(run.stderr) and address in run.stderr and "refused" in run.stderr, run.stderr


USAGE: list[Sequence[str]] = [
    ("--connections", "0"), ("--connections", "-1"), ("--connections", "1.5"),
    ("--connections", "99999999999999999999"), ("--duration", "-5s"), ("--duration", "0"),
    ("--duration", "5 parsecs"), ("--messages", "0"), ("--messages", "-1"), ("--threads", "0"),
    ("--size", "0"), ("--size", "64XB"), ("--pipeline", "0"), ("--warmup", "-1s"),
    ("--backend", "kqueue"), ("--busy-poll", "sometimes"), ("--cpu", "99999"), ("--cpu", "x"),
    ("--timeout", "soon"), ("--verify", "maybe"), ("--interval", "0"), ("--seed", "-1"),
]


@pytest.mark.parametrize("option,value", USAGE)
def test_bad_usage_is_one_line_that_names_the_option_and_the_value(option: str,
                                                                   value: str) -> None:
    ended = run("loadgen", "127.0.0.1:1", f"{option}={value}")
    assert ended.status == 2 and ended.stdout == "", ended
    assert one_line(ended.stderr) and option in ended.stderr and value in ended.stderr, ended


@pytest.mark.parametrize("arguments", [
    ["--nonsense"], ["127.0.0.1:0"], ["127.0.0.1:65536"], ["127.0.0.1:x"], ["[::1:8888"],
    ["127.0.0.1:1", "127.0.0.1:2"], ["--duration=1s", "--messages=5"], ["--json="],
    ["--json"], ["-c"],
])
def test_bad_usage_is_one_line(arguments: list[str]) -> None:
    result = run("loadgen", *arguments)
    assert result.status == 2 and result.stdout == "" and one_line(result.stderr), result


def test_help_and_version() -> None:
    shown = run("loadgen", "--help")
    assert shown.status == 0 and shown.stderr == ""
    for option in ("--connections", "--duration", "--messages", "--threads", "--size", "--pipeline",
                   "--warmup", "--backend", "--busy-poll", "--cpu", "--timeout", "--verify",
                   "--interval", "--seed", "--json", "--quiet", "--version"):
        assert option in shown.stdout, option
    version = run("loadgen", "--version")
    assert version.status == 0 and re.search(r"\d+\.\d+", version.stdout)


# --- Signals --------------------------------------------------------------------------------------


def interrupted(server: CountingEcho, number: signal.Signals, *arguments: object) -> Run:
    began = time.monotonic()
    process = start("loadgen", server.address, "--json=-", "-c", 2, *arguments)
    server.wait_for_bytes(200 * 64, process)
    process.send_signal(number)
    return finish(process, began)


@pytest.mark.parametrize("number,status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_signal_ends_the_run_with_a_full_report(engine: str, number: signal.Signals,
                                                  status: int) -> None:
    with CountingEcho() as server:
        run = interrupted(server, number, f"--backend={engine}", "--warmup=0", "-d", "60s")
    assert run.status == status, run
    assert run.seconds < 30
    assert run.result["aborted"] is True
    totals = run.result["totals"]
    assert totals["messages"] >= 100 and totals["elapsed_s"] < 30
    assert totals["unanswered"] == 0, "what was outstanding was waited for"
    assert sum(i["messages"] for i in run.result["intervals"]) == totals["answered_in_window"]
    assert run.result["config"]["duration_s"] == 60
    assert "p50" in run.stderr


def test_a_signal_ends_a_run_of_n_messages() -> None:
    with CountingEcho() as server:
        run = interrupted(server, signal.SIGINT, "--warmup=0", "-n", 1_000_000_000)
    assert run.status == 130 and run.result["aborted"] is True
    assert 100 <= run.result["totals"]["messages"] < 1_000_000_000


@pytest.mark.parametrize("engine", ENGINES)
def test_a_signal_during_the_warmup(engine: str) -> None:
    with CountingEcho() as server:
        run = interrupted(server, signal.SIGINT, f"--backend={engine}", "--warmup=60s")
    assert run.status == 130 and run.seconds < 30
    assert run.result["aborted"] is True
    assert run.result["latency_ns"]["count"] == run.result["totals"]["messages"] == 0
    assert "no_samples" in [reason["code"] for reason in run.result["verdict"]["reasons"]]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_signal_while_the_server_is_silent(engine: str) -> None:
    with CountingEcho(silent=True) as server:
        began = time.monotonic()
        process = start("loadgen", server.address, "--json=-", f"--backend={engine}",
                        "--warmup=0", "-d", "60s", "--timeout=300ms")
        server.wait_for_bytes(64, process)
        process.send_signal(signal.SIGINT)
        run = finish(process, began)
    assert run.status == 130 and run.seconds < 30
    assert run.result["aborted"] is True and run.result["totals"]["unanswered"] == 1
