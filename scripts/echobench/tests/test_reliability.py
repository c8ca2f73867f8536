"""The table of docs/RELIABILITY.md, from lines as the fault tests leave them."""

from echobench.reliability import FAULTS, Evidence, table


def line(backend: str, sanitizer: str = "", fault: str = FAULTS[0],
         **figures: int | float) -> Evidence:
    return Evidence(fault, f"test_fault_x.py::test_it[{backend}]", backend, sanitizer, True,
                    figures)


def test_counts_are_added_over_the_backends_and_of_ratios_the_worst_is_told() -> None:
    rows = table([line("epoll", clients=1000, p99_ratio=1.5, bytes_lost=0),
                  line("io_uring", clients=1000, p99_ratio=1.25, bytes_lost=0)])
    assert rows[1:] == [[FAULTS[0], "test_it", "release", "epoll, io_uring",
                         "2,000 clients, p99 ratio 1.5, 0 bytes lost"]]


def test_each_build_has_a_row_and_faults_stand_in_their_order() -> None:
    rows = table([line("epoll", fault=FAULTS[2]), line("epoll", "address"), line("epoll")])
    assert [(row[0], row[2]) for row in rows[1:]] == [
        (FAULTS[0], "release"), (FAULTS[0], "dev"), (FAULTS[2], "release")]


def test_a_fault_without_a_backend_has_a_row_too() -> None:
    assert table([line("", clients=1)])[1][3] == "-"
