"""What must be alike before two figures are divided by each other, and what is not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from echobench.measure import Slice
from echobench.result_set import ResultSet

# Each aspect can be allowed to differ by its name.
ASPECTS = ("load", "machine", "kernel", "loadgen", "window", "placement")

LOAD = ("connections", "message_size", "pipeline", "mode", "rate")
MACHINE = ("cpu_model", "cpus", "hypervisor", "memory_bytes")
CLIENT = ("backend", "threads", "verify")


@dataclass(frozen=True)
class Difference:
    """Something that is not alike: which aspect, and in words."""

    aspect: str
    text: str


def differences(sets: Sequence[ResultSet], workloads: Sequence[str]) -> list[Difference]:
    """Over all slices of these workloads in all sets, also within one: an experiment that was
    continued on another machine is two."""
    facts: dict[tuple[str, str], dict[str, None]] = {}
    for one in sets:
        pairs = {each.name for each in one.manifest.subjects if each.client}
        for each in one.slices:
            if each.result is not None and each.workload in workloads:
                for aspect, what, value in _facts(each, each.subject not in pairs):
                    facts.setdefault((aspect, what), {})[value] = None
        window = f"{one.manifest.duration_s:g} s after {one.manifest.warmup_s:g} s"
        facts.setdefault(("window", "window"), {})[window] = None
        facts.setdefault(("placement", "placement"), {})[one.manifest.placement.remark] = None
    return [
        Difference(aspect, f"{what}: {' / '.join(values)}")
        for (aspect, what), values in facts.items()
        if len(values) > 1
    ]


def common_workloads(sets: Sequence[ResultSet]) -> list[str]:
    """The names of the workloads that every set has, in the first one's order."""
    others = [{each.name for each in one.manifest.workloads} for one in sets[1:]]
    names = [each.name for each in sets[0].manifest.workloads]
    return [name for name in names if all(name in other for other in others)]


def _facts(measured: Slice, by_loadgen: bool) -> Iterable[tuple[str, str, str]]:
    """(aspect, what, value) of one slice."""
    assert measured.result is not None
    config, context = measured.result["config"], measured.result["context"]
    for key in LOAD:
        yield "load", f"{key} under {measured.workload}", str(config[key])
    for key in MACHINE:
        yield "machine", key, str(context[key])
    yield "kernel", "kernel", str(context["kernel"])
    tool = measured.result["tool"]
    yield "loadgen", "loadgen", f"{tool['version']} ({tool['git']})"
    for key in CLIENT if by_loadgen else ():
        yield "loadgen", f"loadgen's {key}", str(config[key])
