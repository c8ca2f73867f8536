"""An experiment on disk and in motion: what is started, in which order, and the files it leaves.

A folder with `slices.jsonl`, one line per slice with all that it said, and `manifest.json`, the way
to do it again. Each slice is on disk before the next begins, so an experiment that was interrupted
is continued from its folder.
"""

import json
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from echobench import plan, result_set
from echobench.comparison import widest_precision
from echobench.measure import (
    CannotMeasure,
    Setup,
    Slice,
    Unavailable,
    check_available,
    run_slice,
    utc_now,
)
from echobench.plan import Subject, Workload
from echobench.progress import Progress
from echobench.result_set import SLICES, Manifest

SLICE_OVERHEAD_S = 0.2  # starting and ending the two programs
CLIENT_GRACE_S = 60.0  # to connect, and to wait for what is outstanding

# A subject that failed so often under a workload is not tried again there: it would take the time
# of the others, and each failure may mean a wait of a minute.
MOST_FAILURES = 3

# Where the blocks go on until the interval is narrow, it must not stop because the first few
# happened to agree: from 6 on, equal things are told apart in 8 experiments of 100; from 10 on,
# in 5 to 6 (simulated, with the noises of test_paired).
FEWEST_BLOCKS_UNTIL = 10


class Experiment:
    """Subjects measured against each other by one load generator."""

    def __init__(self, manifest: Manifest, bin_directory: Path, out: Path) -> None:
        """Finds out which of the subjects this machine has.

        Raises CannotMeasure where none is left.
        """
        self.bin = bin_directory
        self.out = out
        self.slices: list[Slice] = []
        self._resumed = False
        self._widest: float | None = None
        self.manifest = _without_unavailable(manifest)
        self.manifest = replace(self.manifest, versions=self._versions())

    @staticmethod
    def resume(folder: Path, bin_directory: Path, manifest: Manifest) -> "Experiment":
        """Goes on with what is in the folder. Raises BadResults, and CannotMeasure where the
        programs are not those that it was begun with."""
        cut_off_unfinished_line(folder / SLICES)
        found = result_set.read(folder)
        experiment = Experiment.__new__(Experiment)
        experiment.bin, experiment.out = bin_directory, folder
        experiment.slices, experiment._resumed, experiment._widest = found.slices, True, None
        experiment.manifest = manifest
        now = experiment._versions()
        for what, then in found.manifest.versions.items():
            if now.get(what) != then:
                raise CannotMeasure(
                    f"{folder} was begun with {what} {then}, and here is {now.get(what)}: "
                    "their slices cannot stand in one experiment"
                )
        return experiment

    def total_s(self) -> float:
        """How long is left, at most."""
        return self._left(self.manifest.max_blocks) * self._slice_s()

    def run(self, progress: Progress) -> None:
        """Measures every slice that is not there yet."""
        self.out.mkdir(parents=True, exist_ok=self._resumed)
        self._write_manifest(None)
        with open(self.out / SLICES, "a", encoding="utf-8") as log:
            for block in range(self.manifest.max_blocks):
                if self._is_enough(block):
                    break
                for workload, subject in self._missing_of(block):
                    measured = self._measure(block, workload, subject, progress)
                    self.slices.append(measured)
                    log.write(json.dumps(asdict(measured)) + "\n")
                    log.flush()
        self._write_manifest(utc_now())

    def given_up(self) -> list[tuple[str, str]]:
        """The (workload, subject) that failed so often that they were not tried again."""
        failures = Counter((each.workload, each.subject) for each in self.slices if each.failure)
        return [cell for cell, count in failures.items() if count >= MOST_FAILURES]

    def client_command(self, subject: Subject, workload: Workload, address: str) -> list[str]:
        """The load generator: the same for each subject, or it would be measured too. Only the
        floor, which is no server, comes as a pair."""
        manifest = self.manifest
        command = [
            *(subject.client or [str(self.bin / "loadgen")]),
            address,
            *workload.options(),
            f"--duration={manifest.duration_s:g}s",
            f"--warmup={manifest.warmup_s:g}s",
            "--json=-",
            "--quiet",
        ]
        if manifest.placement.client is not None and "--cpu" not in " ".join(command):
            command.append(f"--cpu={manifest.placement.client}")
        return command

    def _is_enough(self, blocks: int) -> bool:
        """Whether so many whole blocks will do."""
        manifest = self.manifest
        if blocks < manifest.blocks or manifest.until is None:
            return False
        self._widest = widest_precision(self.slices, manifest)
        return self._widest is not None and self._widest <= manifest.until

    def _missing_of(self, block: int) -> Iterator[tuple[str, str]]:
        done = {(each.workload, each.subject) for each in self.slices if each.block == block}
        subjects = [each.name for each in self.manifest.subjects]
        workloads = [each.name for each in self.manifest.workloads]
        for cell in plan.block_order(subjects, workloads, self.manifest.seed, block):
            if cell not in done and cell not in self.given_up():
                yield cell

    def _measure(self, block: int, workload: str, subject: str, progress: Progress) -> Slice:
        manifest = self.manifest
        load = next(each for each in manifest.workloads if each.name == workload)
        server = next(each for each in manifest.subjects if each.name == subject)
        what = f"block {block + 1}{self._of_blocks()}  {workload}  {subject}"
        began, left_s = time.monotonic(), self.total_s()

        def tick() -> None:
            progress.update(what, left_s - (time.monotonic() - began))

        tick()
        setup = Setup(
            block=block,
            workload=workload,
            subject=server,
            keys=load.keys,
            cpu=manifest.placement.server,
            client_command=lambda address: self.client_command(server, load, address),
            timeout_s=manifest.warmup_s + manifest.duration_s + CLIENT_GRACE_S,
        )
        measured = run_slice(setup, tick)
        if measured.failure is not None:
            progress.say(f"{workload}, {subject}: {measured.failure}")
        return measured

    def _of_blocks(self) -> str:
        """How far it is; with --until, how narrow the widest interval is by now."""
        manifest = self.manifest
        if manifest.until is None:
            return f" of {manifest.max_blocks}"
        now = "" if self._widest is None else f", ±{self._widest:.1%} by now"
        return f" of at most {manifest.max_blocks}{now}"

    def _left(self, blocks: int) -> int:
        cells = len(self.manifest.subjects) * len(self.manifest.workloads)
        given_up = len(self.given_up())
        return max(0, cells * blocks - len(self.slices) - given_up * (blocks - MOST_FAILURES))

    def _slice_s(self) -> float:
        return self.manifest.duration_s + self.manifest.warmup_s + SLICE_OVERHEAD_S

    def _versions(self) -> dict[str, str | None]:
        return {
            "echo-server": _first_line_of([str(self.bin / "echo-server"), "--version"]),
            "loadgen": _first_line_of([str(self.bin / "loadgen"), "--version"]),
            "kernel": platform.release(),
            "python": platform.python_version(),
        }

    def _write_manifest(self, finished_at: str | None) -> None:
        """Written before the first slice too, so that it is there whatever comes."""
        result_set.write_manifest(self.out, replace(self.manifest, finished_at=finished_at))


def _without_unavailable(manifest: Manifest) -> Manifest:
    """Only with the subjects that start here, whatever keeps the others from it: a peer whose
    interpreter is of the wrong version is no reason not to measure the rest. Where the baseline is
    not among them, the first one is."""
    there: list[Subject] = []
    unavailable: dict[str, str] = {}
    for subject in manifest.subjects:
        try:
            check_available(subject, manifest.workloads[0].keys, manifest.placement.server)
            there.append(subject)
        except (CannotMeasure, Unavailable) as reason:
            unavailable[subject.name] = str(reason)
    if not there:
        raise CannotMeasure("\n".join(unavailable.values()))
    names = [each.name for each in there]
    return replace(
        manifest,
        subjects=there,
        unavailable=unavailable,
        baseline=manifest.baseline if manifest.baseline in names else names[0],
    )


def cut_off_unfinished_line(path: Path) -> bool:
    """A process that was killed while it wrote leaves half a line; whether there was one."""
    text = path.read_bytes() if path.exists() else b""
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) == len(text):
        return False
    path.write_bytes(whole)
    return True


def _first_line_of(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.partition("\n")[0]
