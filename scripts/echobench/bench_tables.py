"""The figures of docs/PERFORMANCE.md, in Markdown, from the records in results/bench."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from echobench import marked_block
from echobench.bench_record import Record, Series
from echobench.quantity import duration

BEGIN = "<!-- figures: begin (written by scripts/bench from results/bench; not by hand) -->"
END = "<!-- figures: end -->"

BUSY_LOAD = 0.5
ENGINES = ("epoll", "io_uring")
ONE_CORE = ("floor", *ENGINES)
TWO_CORES = {
    "floor_blocking": "floor, blocking",
    "floor_spinning": "floor, spinning",
    "epoll": "epoll",
    "io_uring": "io_uring",
}


def splice(document: str, figures: str) -> str:
    """The document with these figures between its markers; ValueError where it has none."""
    return marked_block.splice(document, BEGIN, END, figures)


def figures(records: Mapping[str, Record]) -> str:
    """All the figures, from the records by program."""
    exchange = records["exchange_bench"]
    return "\n\n".join(
        [
            _provenance(exchange),
            "### One core: CPU time per echo, both ends",
            _one_core_time(exchange),
            _spread(exchange),
            "### One core: the part of it in user space",
            _one_core_user(exchange),
            _trust(exchange),
            "### Two cores: time per echo",
            _two_cores(exchange),
            *_skipped(exchange),
            "### The load generator's own work",
            _load_generator(records),
        ]
    )


# ---- where it comes from


def _provenance(record: Record) -> str:
    context = record.context
    machine = [context["cpu_model"], f"{context['num_cpus']} CPUs"]
    if "hypervisor" in context:
        machine.append(f"virtual ({context['hypervisor']})")
    if "kernel" in context:
        machine.append(f"Linux {context['kernel']}")
    load = context["load_avg"][0]
    lines = [
        f"Recorded {context['date'][:10]} on: {', '.join(machine)}. Built with "
        f"{context['compiler']} {context['compiler_flags']}, liburing "
        f"{context['liburing'] or 'none'}, revision {context['git']}. Load average before the run: "
        f"{load:.2f}."
    ]
    if load > BUSY_LOAD:
        lines.append(
            "**The machine was busy with other work meanwhile: these figures are too high and too "
            "scattered to conclude from.**"
        )
    words = [f"build/release/bench/{context['executable']}", *context["arguments"]]
    command = " \\\n    ".join(words)
    lines.append(f"`scripts/bench` ran this for the first three tables:\n\n```\n{command}\n```")
    return "\n\n".join(lines)


# ---- one core


def _one_core_time(record: Record) -> str:
    rows = [["message", "connections", *ONE_CORE]]
    for shape in _shapes(record, "floor/one_core/"):
        floor = record.series(f"floor/one_core/{shape}")
        row = [*_shape_cells(shape), duration(floor.median("cpu_time"))]
        for engine in ENGINES:
            row.append(_beside(record.series(f"{engine}/one_core/{shape}"), floor, "cpu_time"))
        rows.append(row)
    return _markdown(rows)


def _spread(record: Record) -> str:
    names = [name for name in record.names if record.series(name).error is None]
    spreads = [record.series(name).spread("real_time") for name in names]
    repetitions = len(record.series(names[0]).values("real_time"))
    return (
        f"Medians of {repetitions} repetitions, taken in random order over all benchmarks. The "
        f"middle half of a benchmark's repetitions is {100 * median(spreads):.0f} % wide (the "
        f"widest: {100 * max(spreads):.0f} %); differences below that show nothing."
    )


def _one_core_user(record: Record) -> str:
    rows = [["message", "connections", *ONE_CORE]]
    for shape in _shapes(record, "floor/one_core/"):
        rows.append(
            [
                *_shape_cells(shape),
                *(_sampled(record.series(f"{who}/one_core/{shape}")) for who in ONE_CORE),
            ]
        )
    return _markdown(rows)


def _trust(record: Record) -> str:
    name = next(name for name in record.names if name.startswith("floor/one_core_computing/"))
    computing, floor = record.series(name), record.series(name.replace("_computing", ""))
    found = computing.mean("user_ns") - floor.mean("user_ns")
    error = math.hypot(computing.standard_error("user_ns"), floor.standard_error("user_ns"))
    return (
        f"Means, with their standard errors. The check: a floor whose server computes for "
        f"{computing.mean('computed_ns'):.0f} ns more in user space shows {found:.0f} ± "
        f"{error:.0f} ns more of it."
    )


def _sampled(series: Series) -> str:
    if series.error is not None:
        return "-"
    return f"{series.mean('user_ns'):.0f} ± {series.standard_error('user_ns'):.0f} ns"


# ---- two cores, load generator


def _two_cores(record: Record) -> str:
    rows = [["message", "connections", *TWO_CORES.values()]]
    for shape in _shapes(record, "floor_blocking/two_cores/"):
        row = list(_shape_cells(shape))
        for who in TWO_CORES:
            series = record.series(f"{who}/two_cores/{shape}")
            row.append("-" if series.error else duration(series.median("real_time")))
        rows.append(row)
    return _markdown(rows)


def _skipped(record: Record) -> list[str]:
    """Why a cell of the tables has no number."""
    errors = {
        f"{' on '.join(name.split('/')[:2])} was not measured: {error}.": None
        for name in record.names
        if (error := record.series(name).error) is not None
    }
    return [text.replace("_cores", " cores").replace("_core", " core") for text in errors]


def _load_generator(records: Mapping[str, Record]) -> str:
    histogram, payload = records["histogram_bench"], records["payload_bench"]
    bookkeeping = records["bookkeeping_bench"]

    def cost(record: Record, name: str, without: str | None = None) -> str:
        time = record.series(name).median("cpu_time")
        return duration(time - (record.series(without).median("cpu_time") if without else 0))

    def verified(shape: str) -> str:
        return cost(payload, f"BM_ArriveAndVerify/{shape}", f"BM_Arrive/{shape}")

    small, large = "bytes:64/connections:500", "bytes:65536/connections:500"
    return _markdown(
        [
            ["", "CPU time"],
            ["make a message: a slice", cost(payload, f"BM_Make/{small}")],
            ["verify a message of 64 B, 500 connections", verified(small)],
            ["verify a message of 64 KiB, 500 connections", verified(large)],
            ["record a latency", cost(histogram, "BM_Record", "BM_ReadTable")],
            ["merge the histogram of a thread", cost(histogram, "BM_Add")],
            ["take an arrival from the schedule, uniform",
             cost(bookkeeping, "BM_TakeFromSchedule/uniform")],
            ["take an arrival from the schedule, Poisson",
             cost(bookkeeping, "BM_TakeFromSchedule/poisson")],
            ["take the next connection's turn", cost(bookkeeping, "BM_TakeTurn")],
            ["count a message in its tenth of the window", cost(bookkeeping, "BM_CountInTenth")],
            ["engine: find a connection of 500", cost(bookkeeping, "BM_Find/connections:500")],
            ["engine: find a connection of 19,000",
             cost(bookkeeping, "BM_Find/connections:19000")],
            ["server: note that bytes are owed, and that they are not, 19,000 connections",
             cost(bookkeeping, "BM_Owe/connections:19000")],
            ["make the block that all messages are slices of", cost(payload, "BM_MakeBlock")],
        ]
    )


# ---- shapes and cells


def _shapes(record: Record, prefix: str) -> list[str]:
    """What follows the prefix: "bytes:64/connections:500"."""
    return [name.removeprefix(prefix) for name in record.names if name.startswith(prefix)]


def _shape_cells(shape: str) -> tuple[str, str]:
    size, connections = (int(part.partition(":")[2]) for part in shape.split("/"))
    return (f"{size // 1024} KiB" if size % 1024 == 0 else f"{size} B"), str(connections)


def _beside(series: Series, floor: Series, field: str) -> str:
    if series.error is not None:
        return "-"
    time = series.median(field)
    return f"{duration(time)} (× {time / floor.median(field):.2f})"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]])
