"""A folder of results, read: manifest.json and slices.jsonl, whoever wrote them.

Everything that a comparison or a report uses is checked here, once, so that nothing behind this
meets a number that is none or a name that is a path. What the two files hold: results/README.md.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from echobench import hdr, strict_json
from echobench.measure import Slice
from echobench.plan import NAME, NAME_RULE, Subject, Workload
from echobench.topology import Placement
from echobench.typed import BadValue, Reader

SCHEMA_VERSION = 2
RESULT_SCHEMA_VERSION = 1
MOST_BLOCKS = 10_000
MANIFEST = "manifest.json"
SLICES = "slices.jsonl"
STATUSES = ("valid", "questionable", "invalid")
QUANTILES = ("p50", "p90", "p99", "p99_9", "p99_99", "max", "min", "mean")


class BadResults(Exception):
    """The folder cannot be read as results; the message is one line that names file and reason."""


@dataclass(frozen=True)
class Manifest:
    """What an experiment was to be, and how far it came."""

    title: str
    command: list[str]  # that repeats it
    started_at: str
    finished_at: str | None
    seed: int
    blocks: int  # at least so many
    max_blocks: int
    until: float | None  # how narrow the intervals are to be, as a share
    duration_s: float
    warmup_s: float
    baseline: str
    subjects: list[Subject]
    unavailable: dict[str, str]
    workloads: list[Workload]
    placement: Placement
    versions: dict[str, str | None]


@dataclass(frozen=True)
class ResultSet:
    """A manifest and its slices, in the order in which they were measured."""

    name: str
    manifest: Manifest
    slices: list[Slice]

    def workload(self, name: str) -> Workload:
        """By its name, which must be one."""
        return next(each for each in self.manifest.workloads if each.name == name)


def read(folder: Path) -> ResultSet:
    """Raises BadResults."""
    manifest = read_manifest(folder)
    slices = _read_slices(folder / SLICES, manifest)
    return ResultSet(folder.resolve().name, manifest, slices)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Puts it there at once, or not at all."""
    path = folder / MANIFEST
    fresh = path.with_suffix(".tmp")
    text = json.dumps({"schema_version": SCHEMA_VERSION, **asdict(manifest)}, indent=2)
    fresh.write_text(text + "\n", encoding="utf-8")
    fresh.replace(path)


def text_of(path: Path) -> str:
    """Of a plain file: from a device or a pipe it might never end."""
    if not path.is_file():
        raise BadResults(f"{str(path)!r}: no such file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadResults(f"{path}: no UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise BadResults(f"{path}: {error.strerror}") from error


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone. Raises BadResults."""
    path = folder / MANIFEST
    try:
        return manifest_of(strict_json.parse(text_of(path)))
    except (strict_json.NotStrict, BadValue) as error:
        raise BadResults(f"{path}: {error}") from error


def _read_slices(path: Path, manifest: Manifest) -> list[Slice]:
    slices: list[Slice] = []
    met: set[tuple[int, str, str]] = set()
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if not line:
            continue
        try:
            each = slice_of(strict_json.parse(line), manifest)
            place = (each.block, each.workload, each.subject)
            if place in met:
                raise BadValue(f"block {place[0]}, {place[1]}, {place[2]} was measured before")
            met.add(place)
        except (strict_json.NotStrict, BadValue) as error:
            raise BadResults(f"{path}:{number}: {error}") from error
        slices.append(each)
    return slices


def manifest_of(value: Any) -> Manifest:
    """Raises BadValue."""
    reader = Reader(value, "")
    _version(reader, SCHEMA_VERSION)
    subjects = [_subject(each) for each in reader.objects("subjects")]
    workloads = [_workload(each) for each in reader.objects("workloads")]
    baseline = _name(reader, "baseline")
    for names in ([each.name for each in subjects], [each.name for each in workloads]):
        if len(set(names)) != len(names):
            raise BadValue("two subjects or workloads have one name")
    if baseline not in [each.name for each in subjects]:
        raise BadValue(f"the baseline {baseline} is no subject")
    return Manifest(
        title=reader.text("title", 200),
        command=reader.texts("command"),
        started_at=_time(reader, "started_at"),
        finished_at=None if reader.text_or_none("finished_at") is None
        else _time(reader, "finished_at"),
        seed=reader.whole("seed"),
        blocks=reader.whole("blocks"),
        max_blocks=reader.whole("max_blocks"),
        until=reader.number_or_none("until"),
        duration_s=reader.number("duration_s"),
        warmup_s=reader.number("warmup_s"),
        baseline=baseline,
        subjects=subjects,
        unavailable=_texts_by_name(reader.object("unavailable")),
        workloads=workloads,
        placement=_placement(reader.object("placement")),
        versions={key: reader.object("versions").text_or_none(key)
                  for key in reader.object("versions").value},
    )


def slice_of(value: Any, manifest: Manifest) -> Slice:
    """Raises BadValue."""
    reader = Reader(value, "")
    failure, memory = reader.text_or_none("failure"), reader.object_or_none("memory")
    result = reader.object_or_none("result")
    if (failure is None) == (result is None):
        raise BadValue("a slice has either a result or a failure")
    if result is not None:
        check_result(result)
    if reader.whole("block") >= MOST_BLOCKS:
        raise BadValue(f"block {reader.whole('block')} is beyond every experiment")
    workload, subject = _name(reader, "workload"), _name(reader, "subject")
    if workload not in [each.name for each in manifest.workloads]:
        raise BadValue(f"the workload {workload} is not in the manifest")
    if subject not in [each.name for each in manifest.subjects]:
        raise BadValue(f"the subject {subject} is not in the manifest")
    return Slice(
        block=reader.whole("block"),
        workload=workload,
        subject=subject,
        started_at=_time(reader, "started_at"),
        server_command=reader.texts("server_command"),
        client_command=reader.texts("client_command"),
        server_exit=_status(reader, "server_exit"),
        client_exit=_status(reader, "client_exit"),
        server_stderr=_any_text(reader, "server_stderr"),
        client_stderr=_any_text(reader, "client_stderr"),
        memory=None if memory is None
        else {key: memory.whole(key) for key in ("ready_bytes", "peak_bytes")},
        failure=failure,
        result=None if result is None else dict(result.value),
    )


def check_result(result: Reader) -> None:
    """What is read of loadgen's object later on; results/schema.json defines all of it. Raises
    BadValue."""
    _version(result, RESULT_SCHEMA_VERSION)
    result.object("throughput").number("messages_per_s")
    for name in ("latency_ns", "service_ns"):
        distribution = result.object(name)
        distribution.whole("count")
        for quantile in QUANTILES:
            distribution.number_or_none(quantile)
    histogram = result.object("histograms").text("latency", 1 << 20)
    try:
        hdr.decode(histogram)
    except hdr.BadHistogram as error:
        raise BadValue(f"result.histograms.latency: {error}") from error
    _check_cpu(result.object("cpu"))
    for interval in result.objects("intervals"):
        interval.number("t_s")
        interval.whole("messages")
    verdict = result.object("verdict")
    if verdict.text("status") not in STATUSES:
        raise BadValue("result.verdict.status is none that is known")
    for reason in verdict.objects("reasons"):
        reason.text("code", 64)
        reason.text("message", 2000)
    _check_circumstances(result)


def _check_cpu(cpu: Reader) -> None:
    cpu.number_or_none("steal_fraction")
    for side in (cpu.object("client"), cpu.object_or_none("server")):
        if side is not None:
            side.number_or_none("ns_per_message")
            side.number_or_none("utilisation")


def _check_circumstances(result: Reader) -> None:
    config, context = result.object("config"), result.object("context")
    for key in ("connections", "message_size", "pipeline", "threads"):
        if config.whole(key) < 1:
            raise BadValue(f"{config.at(key)} is 0")
    if config.text("mode") not in ("closed", "open"):
        raise BadValue("result.config.mode is none that is known")
    config.number_or_none("rate")
    config.number_or_none("duration_s")
    config.flag("verify")
    config.text("backend", 64)
    for key in ("kernel", "cpu_model", "hypervisor", "governor", "tcp_congestion_control",
                "compiler", "build_type", "compiler_flags", "liburing", "clocksource"):
        context.text_or_none(key)
    context.number_or_none("cpus")
    context.number_or_none("memory_bytes")
    context.numbers_or_none("loadavg")
    tool = result.object("tool")
    tool.text("version", 64)
    tool.text_or_none("git")


def _version(reader: Reader, known: int) -> None:
    version = reader.whole("schema_version")
    if version != known:
        raise BadValue(f"{reader.at('schema_version')} is {version}; this program reads {known}")


def _subject(reader: Reader) -> Subject:
    client = reader.texts("client") if "client" in reader.value else []
    return Subject(_name(reader, "name"), reader.texts("command"), reader.flag("own"),
                   reader.text("needs", 500), client)


def _workload(reader: Reader) -> Workload:
    keys = reader.object("keys")
    numbers = {}
    for key in keys.value:
        if not (key.isascii() and key.isidentifier() and len(key) <= 32):
            raise BadValue(f"{keys.at(key[:32])!r} is no key of a workload")
        value = keys.value[key]
        numbers[key] = keys.whole(key) if isinstance(value, int) else keys.number(key)
        if not 1e-6 <= numbers[key] <= 1e12:
            raise BadValue(f"{keys.at(key)} is {numbers[key]:g}, and no size of a workload")
    return Workload(numbers, reader.texts("client_options"), _name(reader, "name"))


def _placement(reader: Reader) -> Placement:
    cpus = [reader.number_or_none(side) for side in ("server", "client")]
    server, client = (None if cpu is None else int(cpu) for cpu in cpus)
    return Placement(server, client, reader.text("remark", 500))


def _texts_by_name(reader: Reader) -> dict[str, str]:
    for key in reader.value:
        _check_name(key, reader.at("a name"))
    return {key: reader.text(key) for key in reader.value}


def _name(reader: Reader, key: str) -> str:
    return _check_name(reader.text(key), reader.at(key))


def _check_name(name: str, place: str) -> str:
    if not NAME.fullmatch(name):
        raise BadValue(f"{place} is {name[:40]!r}, and a name has {NAME_RULE}")
    return name


def _time(reader: Reader, key: str) -> str:
    text = reader.text(key, 40)
    try:
        parse_time(text)
    except ValueError as error:
        raise BadValue(f"{reader.at(key)} is {text!r}, and no time in UTC") from error
    return text


def parse_time(text: str) -> datetime:
    """RFC 3339 in UTC, as `measure.utc_now` and loadgen write it. Raises ValueError."""
    if not text.endswith("Z"):
        raise ValueError("not in UTC")
    return datetime.fromisoformat(text[:-1] + "+00:00")


def _status(reader: Reader, key: str) -> int | None:
    value = reader.value.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not -128 <= value <= 255:
        raise BadValue(f"{reader.at(key)} is no exit status")
    return value


def _any_text(reader: Reader, key: str) -> str:
    """What a program said may hold anything; it is kept, and never shown as it is."""
    value = reader.value.get(key)
    if not isinstance(value, str):
        raise BadValue(f"{reader.at(key)} is no text")
    return value


def with_baseline(manifest: Manifest, baseline: str) -> Manifest:
    """The same experiment seen from another subject."""
    return replace(manifest, baseline=baseline)
