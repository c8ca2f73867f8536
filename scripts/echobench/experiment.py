"""An experiment on disk and in motion: what is started, in which order, and the files it leaves.

A directory with `slices.jsonl`, one line per slice with all that it said, and `manifest.json`, the
way to do it again.
"""

import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from echobench.measure import CannotMeasure, Slice, Unavailable, check_available, run_slice, utc_now
from echobench.plan import interleave
from echobench.progress import Progress
from echobench.topology import Placement

SLICE_OVERHEAD_S = 0.15  # starting and ending the two programs
CLIENT_GRACE_S = 60.0  # to connect, and to wait for what is outstanding


@dataclass(frozen=True)
class Setting:
    """What is the same for every slice."""

    bin: Path  # where the programs are
    out: Path  # the directory to leave, which must not exist
    connections: int
    message_size: int
    blocks: int
    duration_s: float
    warmup_s: float
    seed: int
    placement: Placement


class Experiment:
    """The server's backends measured against each other by one load generator."""

    def __init__(self, setting: Setting, backends: Sequence[str]) -> None:
        """Finds out which of the backends this machine has, and draws their order.

        Raises CannotMeasure where none is left.
        """
        self.setting = setting
        self.subjects: list[str] = []
        self.unavailable: dict[str, str] = {}
        self.slices: list[Slice] = []
        for backend in backends:
            try:
                check_available(self.server_command(backend))
                self.subjects.append(backend)
            except Unavailable as reason:
                self.unavailable[backend] = str(reason)
        if not self.subjects:
            raise CannotMeasure("\n".join(self.unavailable.values()))
        self.order = interleave(self.subjects, setting.blocks, setting.seed)

    def total_s(self) -> float:
        """How long it will take."""
        each = self.setting.duration_s + self.setting.warmup_s + SLICE_OVERHEAD_S
        return sum(map(len, self.order)) * each

    def run(self, progress: Progress) -> None:
        """Measures every slice of the plan; each is on disk before the next begins.

        Raises CannotMeasure at the first slice that gives no result.
        """
        setting = self.setting
        setting.out.mkdir(parents=True)
        started_at = utc_now()
        self._write_manifest(started_at, None)
        timeout_s = setting.warmup_s + setting.duration_s + CLIENT_GRACE_S
        with open(setting.out / "slices.jsonl", "w", encoding="utf-8") as log:
            for block, subjects in enumerate(self.order):
                for subject in subjects:
                    what = f"block {block + 1} of {setting.blocks}  {subject}"
                    progress.update(what)
                    measured = run_slice(
                        subject,
                        self.server_command(subject),
                        self.client_command,
                        timeout_s,
                        lambda: progress.update(what),
                    )
                    self.slices.append(measured)
                    log.write(json.dumps({"block": block, **asdict(measured)}) + "\n")
                    log.flush()
        self._write_manifest(started_at, utc_now())

    def server_command(self, backend: str) -> list[str]:
        """A server on a port that the kernel picks."""
        command = [str(self.setting.bin / "echo-server"), f"--backend={backend}", "--port=0"]
        if self.setting.placement.server is not None:
            command.append(f"--cpu={self.setting.placement.server}")
        return command

    def client_command(self, address: str) -> list[str]:
        """The load generator: the same for each subject, or it would be measured too."""
        setting = self.setting
        command = [
            str(setting.bin / "loadgen"),
            address,
            f"--connections={setting.connections}",
            f"--size={setting.message_size}",
            f"--duration={setting.duration_s:g}s",
            f"--warmup={setting.warmup_s:g}s",
            "--json=-",
            "--quiet",
        ]
        if setting.placement.client is not None:
            command.append(f"--cpu={setting.placement.client}")
        return command

    def _write_manifest(self, started_at: str, finished_at: str | None) -> None:
        """Written before the first slice too, so that it is there whatever comes."""
        setting = self.setting
        manifest = {
            "schema_version": 1,
            "started_at": started_at,
            "finished_at": finished_at,
            "seed": setting.seed,
            "subjects": self.subjects,
            "unavailable": self.unavailable,
            "order": self.order,
            "server_commands": {each: self.server_command(each) for each in self.subjects},
            "client_command": self.client_command("HOST:PORT"),
            "placement": asdict(setting.placement),
            "versions": {
                "echo-server": _first_line_of([str(setting.bin / "echo-server"), "--version"]),
                "loadgen": _first_line_of([str(setting.bin / "loadgen"), "--version"]),
                "kernel": platform.release(),
                "python": platform.python_version(),
            },
        }
        path = setting.out / "manifest.json"
        fresh = path.with_suffix(".tmp")
        fresh.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)


def _first_line_of(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.partition("\n")[0]
