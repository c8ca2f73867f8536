"""What people read: quantities, the table, the line on the terminal, the closing sentence."""

import io

import pytest

from echobench import comparison
from echobench.measure import Slice
from echobench.progress import Progress, progress_line
from echobench.quantity import duration, rate
from echobench.table import render
from echobench.tests.stand_ins import result


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ns"),
        (0.5, "0.500 ns"),
        (412, "412 ns"),
        (999.4, "999 ns"),
        (999.9, "1.00 µs"),
        (4_412_000, "4.41 ms"),
        (999_600_000, "1.00 s"),
        (61e9, "61.0 s"),
    ],
)
def test_durations(nanoseconds: float, text: str) -> None:
    assert duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0, "0 /s"), (7, "7.00 /s"), (980, "980 /s"), (112_345, "112 k/s"), (999_900, "1.00 M/s")],
)
def test_rates(per_second: float, text: str) -> None:
    assert rate(per_second) == text


def test_a_table_aligns_its_columns() -> None:
    assert render([["", "a", "bb"], ["first", "1", "2"]]).splitlines() == [
        "       a  bb",
        "------------",
        "first  1   2",
    ]


def test_progress_shows_elapsed_of_total() -> None:
    assert progress_line(7, 28, "block 2") == "[######..................] 7 s of 28 s  block 2"
    assert progress_line(30, 28, "") == "[########################] 30 s of 30 s  "


def test_progress_is_silent_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    progress = Progress(stream, 10)
    progress.update("something")
    progress.clear()
    assert stream.getvalue() == ""


def slice_of(
    subject: str, rates: list[float], client_exit: int = 0, **more: object
) -> list[Slice]:
    return [
        Slice(
            subject=subject,
            started_at="2024-01-01T00:00:00Z",
            server_command=[],
            client_command=[],
            server_exit=0,
            client_exit=client_exit,
            server_stderr="",
            client_stderr="",
            result=result(each, **more),  # type: ignore[arg-type]
        )
        for each in rates
    ]


def test_the_conclusion_names_the_faster() -> None:
    steady = slice_of("epoll", [100e3] * 8)
    faster = slice_of("io_uring", [110e3, 111e3, 109e3, 110e3, 112e3, 110e3, 108e3, 110e3])
    text = comparison.conclusion(steady + faster, "epoll", "io_uring")
    assert text.startswith("io_uring is faster than epoll here (throughput x 1.100")
    text = comparison.conclusion(steady + faster, "io_uring", "epoll")
    assert text.startswith("epoll is slower than io_uring here (throughput x 0.909")


def test_the_conclusion_admits_that_nothing_is_shown() -> None:
    one = slice_of("epoll", [100e3, 90e3, 110e3, 105e3, 95e3, 100e3, 99e3, 101e3])
    other = slice_of("io_uring", [90e3, 100e3, 105e3, 110e3, 100e3, 95e3, 101e3, 99e3])
    assert "no difference shown" in comparison.conclusion(one + other, "epoll", "io_uring")


def test_a_number_that_one_slice_lacks_is_not_compared() -> None:
    slices = slice_of("epoll", [100e3] * 8) + slice_of("io_uring", [110e3] * 7)
    slices += slice_of("io_uring", [110e3], p99=None)
    p99 = comparison.table(slices, "epoll", "io_uring").splitlines()[4]
    assert p99.split() == ["latency", "p99", "9.00", "ms", "-", "-", "-"]


def test_a_server_that_is_not_local_has_no_cpu() -> None:
    slices = slice_of("epoll", [100e3] * 2)
    slices[0].result["cpu"]["server"] = None
    assert comparison.table(slices, "epoll", None).splitlines()[5].split()[-1] == "-"


def test_the_judgement_counts_every_slice_and_reason() -> None:
    slices = slice_of("epoll", [100e3] * 3)
    slices += slice_of("io_uring", [100e3] * 2, status="questionable", code="steal")
    text, holds = comparison.judgement(slices)
    assert holds
    assert text.splitlines() == [
        "5 slices: 3 valid, 2 questionable, 0 invalid",
        "  questionable io_uring steal, 2 x: because of steal",
    ]


def test_either_word_of_the_load_generator_makes_a_slice_invalid() -> None:
    invalid = slice_of("epoll", [100e3], status="invalid", code="corrupt")
    text, holds = comparison.judgement(slice_of("epoll", [100e3]) + invalid)
    assert not holds
    assert "invalid epoll corrupt, 1 x: because of corrupt" in text
    assert not comparison.judgement(slice_of("epoll", [100e3], client_exit=3))[1]
