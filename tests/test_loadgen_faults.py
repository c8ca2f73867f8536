"""loadgen against servers that lie: it exits 3, names what was wrong, and never hangs. And against
servers that are merely odd it raises no false alarm."""

from typing import Any

import pytest

from loadgen_fixtures import (ENGINES, Run, Server, loadgen, lying_server)

WRONG_BYTES = {"flipped", "lost", "duplicated", "reordered", "truncated", "foreign", "garbled",
               "extra"}


def messages_for(size: int) -> int:
    """Enough for several injections, and not more than a slow server answers in a blink."""
    return {1: 1000, 64: 1500, 1000: 1000, 100_000: 80}[size]


def every_for(size: int) -> int:
    return messages_for(size) // 5


# Where every message is answered, or its connection ends: only a busy machine keeps one waiting.
PATIENT = "60s"


def attack(server: Server, engine: str, size: int, pipeline: int, *more: object,
           timeout: str = "300ms") -> Run:
    return loadgen(server.address, f"--backend={engine}", "-s", size, "-p", pipeline,
                   *(more or ("-c", 4, "-n", messages_for(size))), f"--timeout={timeout}")


def sum_rule(result: dict[str, Any]) -> None:
    """What holds of every result, whatever happened."""
    totals = result["totals"]
    wrong = {kind: n for kind, n in totals["errors"].items() if kind in WRONG_BYTES}
    assert sum(wrong.values()) == totals["corrupt"], totals
    assert totals["messages"] == result["latency_ns"]["count"] == result["service_ns"]["count"]
    assert sum(i["messages"] for i in result["intervals"]) == totals["answered_in_window"]
    size = result["config"]["message_size"]
    assert totals["messages"] * size <= totals["bytes_received"] or totals["corrupt"], totals
    if asked := result["config"]["messages"]:
        assert totals["messages"] + totals["unanswered"] <= asked, totals


def caught(run: Run, server: Server, kinds: set[str], codes: set[str],
           besides: set[str] | None = None) -> None:
    """The run is invalid for one of `codes`, one of `kinds` is named and no other kind is, except
    one of `besides`."""
    assert server.injected > 0, "the server told no lie: the test shows nothing"
    assert run.status == 3, run
    sum_rule(run.result)
    verdict = run.result["verdict"]
    assert verdict["status"] == "invalid"
    assert codes & {reason["code"] for reason in verdict["reasons"]}, verdict
    named = set(run.result["totals"]["errors"])
    assert named & kinds, f"none of {kinds} is in {run.result['totals']}"
    assert named <= kinds | (besides or set()), run.result["totals"]
    for kind in named:
        assert kind.replace("_", " ") in run.stderr.replace("_", " "), (kind, run.stderr)


# A connection with wrong bytes may be closed or fall behind for ever: its loss is counted too.
AFTERMATH = {"timed_out", "closed_by_peer", "connection_reset"}


def caught_corrupt(run: Run, server: Server, *kinds: str, seen: int = 1) -> None:
    """The same for wrong bytes; one lie is counted at most `seen` times."""
    caught(run, server, set(kinds), {"corrupt"}, AFTERMATH)
    assert 1 <= run.result["totals"]["corrupt"] <= seen * server.injected, run.result["totals"]


@pytest.mark.parametrize("engine", ENGINES)
def test_one_bit_in_a_million_bytes(engine: str) -> None:
    with lying_server("flip") as server:
        run = attack(server, engine, 64, 16, "-c", 4, "-n", 40_000, timeout=PATIENT)
    assert server.injected >= 2
    caught_corrupt(run, server, "flipped")
    assert run.result["totals"]["errors"] == {"flipped": server.injected}


@pytest.mark.parametrize("pipeline", [1, 16])
@pytest.mark.parametrize("size", [64, 1000])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_flip_is_seen_at_every_place_of_a_message(engine: str, size: int, pipeline: int) -> None:
    # The distance is prime to the size, so the flips wander through the message, its edges and
    # whatever it holds to tell it from others; never are two in one message.
    with lying_server("flip", every=10 * size + 1 if size == 64 else 2 * size + 11) as server:
        run = attack(server, engine, size, pipeline, "-c", 1, "-n", 900, timeout=PATIENT)
    caught_corrupt(run, server, "flipped")
    assert run.result["totals"]["errors"] == {"flipped": server.injected}
    assert run.result["totals"]["unanswered"] == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_flip_in_a_large_message(engine: str) -> None:
    with lying_server("flip") as server:
        run = attack(server, engine, 100_000, 1, timeout=PATIENT)
    caught_corrupt(run, server, "flipped")


KINDS = {
    "drop": "lost", "duplicate": "duplicated", "swap": "reordered", "foreign": "foreign",
    "truncate": "truncated", "garble": "garbled", "extra": "extra",
}


def seen(fault: str) -> int:
    """Two messages are wrong, so two may be counted, where two changed places."""
    return 2 if fault in ("swap", "foreign") else 1


@pytest.mark.parametrize("size", [64, 1000, 100_000])
@pytest.mark.parametrize("fault", KINDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_kind_is_named_when_more_follows(engine: str, fault: str, size: int) -> None:
    with lying_server(fault, size=size, every=every_for(size)) as server:
        run = attack(server, engine, size, 16)
    caught_corrupt(run, server, KINDS[fault], seen=seen(fault))


@pytest.mark.parametrize("size", [64, 1000, 100_000])
@pytest.mark.parametrize("fault,kinds", [
    ("duplicate", {"duplicated", "extra"}),  # the second comes when nothing is owed: both are true
    ("foreign", {"foreign"}),
    ("garble", {"garbled"}),
    ("extra", {"extra"}),
])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_kind_is_named_one_at_a_time(engine: str, fault: str, kinds: set[str],
                                         size: int) -> None:
    with lying_server(fault, size=size, every=every_for(size)) as server:
        run = attack(server, engine, size, 1)
    caught_corrupt(run, server, *kinds, seen=seen(fault))


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("fault", ["drop", "duplicate", "swap", "foreign", "garble"])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_kind_of_small_messages(engine: str, fault: str, size: int) -> None:
    with lying_server(fault, size=size, every=300) as server:
        run = attack(server, engine, size, 16, "-c", 4, "-n", 1500)
    caught_corrupt(run, server, KINDS[fault], seen=seen(fault))


def test_foreign_across_threads() -> None:
    with lying_server("foreign", every=300) as server:
        run = attack(server, "epoll", 64, 1, "-c", 2, "-t", 2, "-n", 1000)
    caught_corrupt(run, server, "foreign", seen=2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fault", ["truncate", "extra", "garble"])
def test_the_place_of_the_fault_does_not_matter(fault: str, seed: int) -> None:
    with lying_server(fault, size=256, every=100, seed=100 + seed) as server:
        run = attack(server, "epoll", 256, 8, "-c", 2, "-n", 1000)
    caught_corrupt(run, server, KINDS[fault])


@pytest.mark.parametrize("size", [64, 100_000])
@pytest.mark.parametrize("fault,kinds", [
    ("drop", {"timed_out"}),
    ("truncate", {"timed_out", "truncated"}),  # only bytes after the gap can show that it is one
])
@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_missing_is_waited_for_and_counted(engine: str, fault: str, kinds: set[str],
                                                   size: int) -> None:
    with lying_server(fault, size=size, at=20, every=0) as server:
        run = attack(server, engine, size, 1)
    caught(run, server, kinds, {"unanswered", "corrupt"})
    totals = run.result["totals"]
    assert totals["unanswered"] + totals["corrupt"] >= 1
    if "timed_out" in totals["errors"]:
        assert 0.29 < run.seconds, "the reply was given up before --timeout"


def test_the_loss_of_one_connection_does_not_stop_the_others() -> None:
    with lying_server("drop", at=20, every=0) as server:
        run = attack(server, "epoll", 64, 1, "-c", 4, "-n", 1000, timeout="2s")
    assert run.result["totals"]["unanswered"] == 1
    assert run.result["totals"]["messages"] == 999


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pipeline", [1, 16])
def test_false_alarm_of_one_byte_messages(engine: str, pipeline: int) -> None:
    with lying_server("none") as server:
        run = attack(server, engine, 1, pipeline, timeout=PATIENT)
    assert run.status == 0, run
    assert run.result["totals"]["errors"] == {} and run.result["verdict"]["status"] != "invalid"


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 15, 16, 17, 64, 1000, 65_537])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_flip_is_seen_in_messages_of_any_size(engine: str, size: int) -> None:
    count = 200 if size < 10_000 else 20
    with lying_server("flip", at=11 * size + size // 2, every=0) as server:
        run = attack(server, engine, size, 4, "-c", 1, "-n", count, timeout=PATIENT)
    assert run.status == 3 and run.result["totals"]["corrupt"] >= 1, run
    sum_rule(run.result)


# --- Connections that end -------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", [1, 16])
@pytest.mark.parametrize("size", [64, 100_000])
@pytest.mark.parametrize("fault,kinds,besides", [
    ("close", {"closed_by_peer"}, set()),
    ("close-inside", {"closed_by_peer"}, {"truncated"}),
    ("reset", {"connection_reset"}, set()),
])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_early_end_of_a_connection(engine: str, fault: str, kinds: set[str],
                                      besides: set[str], size: int, pipeline: int) -> None:
    with lying_server(fault, size=size, at=30, every=0) as server:
        run = attack(server, engine, size, pipeline, timeout=PATIENT)
    caught(run, server, kinds, {"unanswered", "connections_lost"}, besides)
    totals = run.result["totals"]
    assert totals["errors"].get(next(iter(kinds))) == 1
    assert totals["unanswered"] >= 1
    assert totals["messages"] > 0, "the other connections go on"
    assert totals["sent"] == totals["messages"] + totals["unanswered"] + totals["spoiled"]


@pytest.mark.parametrize("fault,kind", [("close", "closed_by_peer"), ("reset", "connection_reset")])
@pytest.mark.parametrize("load,timeout", [(("-d", "500ms"), PATIENT), (("-n", 100_000), "3s")])
@pytest.mark.parametrize("engine", ENGINES)
def test_where_every_connection_is_ended_the_run_ends_in_time(
        engine: str, load: tuple[object, ...], timeout: str, fault: str, kind: str) -> None:
    with lying_server(fault, at=10, every=1) as server:
        run = attack(server, engine, 64, 1, "-c", 3, *load, timeout=timeout)
    caught(run, server, {kind}, {"connections_lost", "unanswered"})
    totals = run.result["totals"]
    assert totals["messages"] == 10
    assert totals["errors"] == {kind: totals["connections_lost"]}
    assert totals["unanswered"] == totals["lost_unanswered"] == totals["connections_lost"]
    assert 3 <= totals["connections_lost"] <= totals["connections_remade"] + 3
    assert run.seconds < 15, "it hoped for longer than it was told to"


@pytest.mark.parametrize("engine", ENGINES)
def test_closed_right_after_accept(engine: str) -> None:
    with lying_server("close-on-accept") as server:
        # So many that some hear of both at once, of the connection and of its end.
        run = attack(server, engine, 64, 1, "-c", 40, "-d", "300ms", timeout=PATIENT)
    # One that is made anew sends at once, and bytes that nobody reads turn FIN into a reset.
    caught(run, server, {"closed_by_peer"}, {"connections_lost", "no_samples"},
           {"connection_reset"})
    assert run.result["totals"]["messages"] == 0
    assert run.result["latency_ns"]["p50"] is None


@pytest.mark.parametrize("fault", ["stall", "discard"])
@pytest.mark.parametrize("size", [64, 100_000])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_that_never_answers(engine: str, size: int, fault: str) -> None:
    with lying_server(fault) as server:
        run = attack(server, engine, size, 16, "-c", 3, "-d", "100ms")
    caught(run, server, {"timed_out"}, {"no_samples", "unanswered"})
    totals = run.result["totals"]
    assert totals["messages"] == 0
    # What was never handed to the kernel was never asked.
    assert 3 <= totals["unanswered"] <= 48
    assert size > 64 or totals["unanswered"] == 48


@pytest.mark.parametrize("engine", ENGINES)
def test_a_greeting_is_not_an_answer(engine: str) -> None:
    with lying_server("banner") as server:
        run = attack(server, engine, 64, 1)
    caught(run, server, {"extra"}, {"corrupt"}, AFTERMATH)


@pytest.mark.parametrize("arguments", [("-n", 100), ("-d", "200ms")])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_endless_talker_does_not_hold_it_up(engine: str, arguments: Any) -> None:
    with lying_server("chargen") as server:
        run = attack(server, engine, 64, 4, "-c", 2, *arguments)
    caught(run, server, {"extra", "garbled"}, {"corrupt", "no_samples"}, AFTERMATH)
    assert run.result["totals"]["messages"] == 0
    assert run.seconds < 15


# --- No false alarm -------------------------------------------------------------------------------


def unblemished(run: Run) -> None:
    assert run.status == 0, run
    sum_rule(run.result)
    totals = run.result["totals"]
    assert (totals["corrupt"], totals["unanswered"], totals["errors"]) == (0, 0, {})
    # On a busy machine it may be questionable.
    assert run.result["verdict"]["status"] != "invalid"


@pytest.mark.parametrize("pipeline", [1, 16])
@pytest.mark.parametrize("size", [64, 1000, 100_000])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_control_is_clean(engine: str, size: int, pipeline: int) -> None:
    with lying_server("none") as server:
        unblemished(attack(server, engine, size, pipeline, timeout=PATIENT))
    assert server.bytes_received == messages_for(size) * size


@pytest.mark.parametrize("pipeline", [1, 5])
@pytest.mark.parametrize("engine", ENGINES)
def test_byte_by_byte_is_correct(engine: str, pipeline: int) -> None:
    with lying_server("dribble") as server:
        run = attack(server, engine, 61, pipeline, "-c", 3, "-n", 100, timeout=PATIENT)
    unblemished(run)
    assert run.result["totals"]["messages"] == 100, "one sample a message, not one a read"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_late_reply_is_a_sample_and_its_lateness_is_measured(engine: str) -> None:
    with lying_server("delay", delay=0.05) as server:
        run = attack(server, engine, 64, 2, "-c", 3, "-d", "200ms", timeout=PATIENT)
    unblemished(run)
    totals = run.result["totals"]
    # Whatever was outstanding when the window ended was waited for.
    assert totals["messages"] - totals["answered_in_window"] in range(1, 7)
    for clock in ("latency_ns", "service_ns"):
        assert run.result[clock]["min"] >= 49_900_000, run.result[clock]


def test_without_verification_a_flip_goes_unseen() -> None:
    with lying_server("flip", every=1000) as server:
        run = attack(server, "epoll", 64, 4, "-c", 2, "-n", 1000, "--verify=off",
                     timeout=PATIENT)
    assert server.injected > 10
    unblemished(run)
    assert run.result["config"]["verify"] is False
