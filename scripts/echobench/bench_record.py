"""Google Benchmark's JSON as results/bench keeps it: a context block, and a run per repetition."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from statistics import mean, median, quantiles, stdev
from typing import Any

Json = Mapping[str, Any]


def kept(report: Json, arguments: Sequence[str]) -> Json:
    """What is worth keeping of a report, with the arguments that the program was given: without the
    machine's name, without paths, and without the aggregates, which follow from the runs. These in
    the order of the benchmarks, not in the random one in which they ended."""
    context = {key: value for key, value in report["context"].items() if key != "host_name"}
    context["executable"] = PurePosixPath(context["executable"]).name
    context["arguments"] = list(arguments)
    runs = [run for run in report["benchmarks"] if run["run_type"] == "iteration"]
    return {"context": context, "benchmarks": sorted(runs, key=_place)}


def to_text(report: Json) -> str:
    """JSON with a line for each run, so that two records can be compared by diff."""
    context = json.dumps(report["context"], indent=1, ensure_ascii=False)
    runs = ",\n".join(json.dumps(run, ensure_ascii=False) for run in report["benchmarks"])
    return f'{{"context": {context},\n"benchmarks": [\n{runs}\n]}}\n'


class Series:
    """One benchmark: the values of its repetitions. Times are in nanoseconds."""

    def __init__(self, runs: Sequence[Json]) -> None:
        self._runs = runs

    @property
    def error(self) -> str | None:
        """Why it was skipped; None where it ran."""
        return next((run["error_message"] for run in self._runs if "error_message" in run), None)

    def values(self, field: str) -> list[float]:
        """The field of every repetition: cpu_time, real_time or a counter."""
        return [float(run[field]) * self._unit(run, field) for run in self._runs]

    def median(self, field: str) -> float:
        """The middle one: a repetition that something disturbed does not move it."""
        return float(median(self.values(field)))

    def mean(self, field: str) -> float:
        """For what was sampled: only the mean of samples is right on average."""
        return float(mean(self.values(field)))

    def standard_error(self, field: str) -> float:
        """Of the mean; 0 where a single repetition can tell nothing."""
        values = self.values(field)
        return float(stdev(values)) / math.sqrt(len(values)) if len(values) > 1 else 0.0

    def spread(self, field: str) -> float:
        """The width of the middle half of the repetitions, as a fraction of the median."""
        values = self.values(field)
        if len(values) < 2:
            return 0.0
        low, _, high = quantiles(values, n=4, method="inclusive")
        return (high - low) / median(values)

    @staticmethod
    def _unit(run: Json, field: str) -> float:
        in_time_unit = field in ("real_time", "cpu_time")
        return {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[run["time_unit"]] if in_time_unit else 1


class Record:
    """One program's recorded run."""

    def __init__(self, report: Json) -> None:
        self.context: Json = report["context"]
        self._runs: dict[str, list[Json]] = {}
        for run in report["benchmarks"]:
            self._runs.setdefault(_plain(run["run_name"]), []).append(run)

    @staticmethod
    def read(path: Path) -> "Record":
        """Raises OSError, or ValueError where it is no such JSON."""
        try:
            return Record(json.loads(path.read_text(encoding="utf-8")))
        except (KeyError, TypeError) as error:
            what = f"{path.name} is not what Google Benchmark writes"
            raise ValueError(f"{what}: {error!r}") from None

    @property
    def names(self) -> list[str]:
        """In the order of the record."""
        return list(self._runs)

    def series(self, name: str) -> Series:
        """Raises ValueError where the record has no such benchmark."""
        if name not in self._runs:
            raise ValueError(f"the record has no benchmark {name}")
        return Series(self._runs[name])


def _place(run: Json) -> tuple[int, int, int]:
    numbers = ("family_index", "per_family_instance_index", "repetition_index")
    family, instance, repetition = (int(run[number]) for number in numbers)
    return family, instance, repetition


def _plain(run_name: str) -> str:
    """Without what says only how it was timed."""
    return run_name.removesuffix("/real_time").removesuffix("/process_time")
