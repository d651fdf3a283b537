"""Kills audits at random moments until their nights are there, and compares the nights.

Shared by `benchmarks.kills` and by tests. An audit is a process of its own; that process is killed,
by SIGKILL, and no other.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.killed import SHARD_ROWS
from benchmarks.left import difference, files, tree, writers
from calhard.simulate import FleetSpec, simulate
from calhard.store.layout import Layout

ROOT = Path(__file__).parents[1]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
"""Where this calhard and these benchmarks are found, by the audits and by the workers of Ray."""
NIGHT = "2026-05-31"
POLL_SECONDS = 0.0005
LONGEST = 300.0
"""Seconds after which an audit that does not end counts as hung."""
AIMS = {"anywhere": 10, "at work": 5, "last stage": 3, "manifest": 1, "rename": 1}
"""From which moment on a kill may fall, and how often of twenty: the start; when the night's lock
is taken; when the series are kept; when the manifest is there; when the night is in its place."""
STAGES = {
    "reading and assessing": "judging",
    "judging": "deciding",
    "deciding": "keeping series",
    "keeping series": "writing",
}
"""What a run is at once it has told that a stage is done."""
DONE = re.compile(r'event="?([a-z ]+?)"? shards=(\d+) of=(\d+)')


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit of a history: the command's options, and how many rows its shards have."""

    history: Path
    rows: int
    options: tuple[str, ...]

    def start(self, out: Path) -> Running:
        """Start it."""
        log = out.with_suffix(".log")
        command = [sys.executable, "-m", "benchmarks.killed", "audit", str(self.history)]
        environment = os.environ | {"PYTHONPATH": PATHS, SHARD_ROWS: str(self.rows)}
        with log.open("w") as said:
            process = subprocess.Popen(
                [*command, "--out", str(out), *self.options],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        return Running(process, Layout(out, NIGHT), log)


@dataclass(frozen=True, slots=True)
class Running:
    """An audit that runs, and what can be seen of it from outside."""

    process: subprocess.Popen[bytes]
    layout: Layout[Path]
    log: Path
    began: float = field(default_factory=time.monotonic)

    def has_reached(self, aim: str) -> bool:
        """Whether the moment is there from which on a kill may be aimed."""
        match aim:
            case "at work":
                return self._holds_lock()
            case "last stage":
                return "keeping series" in self._done()
            case "manifest":
                there = self._is_manifested() or self.layout.published.exists()
                return there and self._holds_lock()
            case "rename":
                return self.layout.published.exists() and self._holds_lock()
            case _:
                return True

    def stage(self) -> str:
        """Return what it is, or was, at."""
        if self.layout.published.exists():
            return "published"
        if self._is_manifested():
            return "publishing"
        if done := self._done():
            return STAGES[done[-1]]
        return "assessing" if self._holds_lock() else "starting"

    def is_resumed(self) -> bool:
        """Whether it has told that it goes on where another ended."""
        return "event=resuming" in self.log.read_text()

    def killed(self, aim: str, seconds: float) -> bool:
        """Kill it so many seconds after what is aimed at; False where it ended before."""
        while not self.has_reached(aim):
            if self._has_ended():
                return False
            time.sleep(POLL_SECONDS)
        due = (self.began if aim == "anywhere" else time.monotonic()) + seconds
        while (left := due - time.monotonic()) > 0:
            if self._has_ended():
                return False
            time.sleep(min(left, 0.01))
        self.process.kill()
        return self.process.wait() < 0

    def ended(self) -> int:
        """Return its exit code."""
        return self.process.wait(LONGEST)

    def _has_ended(self) -> bool:
        if time.monotonic() - self.began > LONGEST:
            self.process.kill()
            raise TimeoutError(f"{self.layout.out}: no end\n{self.log.read_text()}")
        return self.process.poll() is not None

    def _holds_lock(self) -> bool:
        """Whether it is the one that holds, or held last, the night's lock."""
        try:
            return self.layout.lock.read_text().startswith(f"process {self.process.pid} ")
        except OSError:
            return False

    def _is_manifested(self) -> bool:
        return (self.layout.staging / "manifest.json").exists()

    def _done(self) -> list[str]:
        told = DONE.findall(self.log.read_text())
        return [stage for stage, done, total in told if stage in STAGES and done == total]


@dataclass(slots=True)
class Outcome:
    """What came of the kills."""

    seconds: dict[str, float]
    """How long after the moment of each aim a kill may fall."""
    kills: int = 0
    nights: int = 0
    resumed: int = 0
    """Runs that went on with shards of one that was killed."""
    by_stage: dict[str, int] = field(default_factory=dict)
    by_aim: dict[str, int] = field(default_factory=dict)
    differing_bytes: int = 0
    left: list[str] = field(default_factory=list)
    """What stayed beside the nights and should not."""
    writing: list[str] = field(default_factory=list)
    """Processes that had files of a published night's folder open, or wrote there later."""
    failures: list[str] = field(default_factory=list)
    """What runs said that ended by themselves and otherwise than undisturbed ones."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing was lost, doubled or left."""
        return not (self.differing_bytes or self.left or self.writing or self.failures)

    def count(self, aim: str, stage: str) -> None:
        """Count a kill."""
        self.kills += 1
        self.by_aim[aim] = self.by_aim.get(aim, 0) + 1
        self.by_stage[stage] = self.by_stage.get(stage, 0) + 1


def write_history(folder: Path, *, models: int, classes: int, models_per_shard: int) -> int:
    """Write the history of a fleet with faults; return the rows of a shard."""
    spec = FleetSpec(models=models, classes=classes, broken=0.4, seed=3)
    rows = spec.days * 24 * classes * models_per_shard
    folder.mkdir(parents=True)
    batches = list(simulate(spec))
    with pq.ParquetWriter(folder / "history.parquet", batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=rows)
    return rows


class Killer:
    """Kills an audit until it has come through, again and again.

    Parameters
    ----------
    folder : where nights are written
    seed : draws what is aimed at and when
    """

    def __init__(self, audit: Audit, folder: Path, seed: int) -> None:
        self.audit, self.folder = audit, folder
        self._chance = random.Random(seed)
        self._seen: dict[Path, Mapping[str, bytes]] = {}

    def kill(self, kills: int) -> Outcome:
        """Kill so many times; every night is brought to its end and compared with a sound one."""
        self._sound, self._code, seconds = self._undisturbed(self.folder / "undisturbed")
        outcome = Outcome(seconds)
        while outcome.kills < kills:
            self._night(self.folder / f"night-{outcome.nights}", kills, outcome)
        for out, seen in self._seen.items():
            if tree(out) != seen:
                outcome.writing.append(f"something wrote to {out.name} later")
        return outcome

    def _undisturbed(self, out: Path) -> tuple[Mapping[str, bytes], int, dict[str, float]]:
        """Return the files of a run, its exit code, and its seconds from the moment of each aim."""
        running = self.audit.start(out)
        reached: dict[str, float] = {}
        while running.process.poll() is None:
            now = time.monotonic()
            for aim in AIMS:
                if aim not in reached and running.has_reached(aim):
                    reached[aim] = now
            time.sleep(POLL_SECONDS)
        if set(reached) != set(AIMS):
            raise RuntimeError(f"an undisturbed run failed:\n{running.log.read_text()}")
        end = time.monotonic()
        taken = {aim: end - since for aim, since in reached.items()}
        taken["anywhere"] = end - running.began
        taken["manifest"] = max(2 * (reached["rename"] - reached["manifest"]), 4 * POLL_SECONDS)
        taken["rename"] = taken["manifest"]  # all that follows but words on stdout
        return files(out), running.ended(), taken

    def _night(self, out: Path, kills: int, outcome: Outcome) -> None:
        """Audit until a run ends by itself, killing at most until all kills are done."""
        while True:
            running = self.audit.start(out)
            aim = self._chance.choices(list(AIMS), list(AIMS.values()))[0]
            after = self._chance.uniform(0.0, outcome.seconds[aim])
            if outcome.kills == kills or not running.killed(aim, after):
                code = running.ended()
                outcome.resumed += running.is_resumed()
                break
            outcome.resumed += running.is_resumed()
            outcome.count(aim, running.stage())
        outcome.nights += 1
        if code != self._code:
            outcome.failures.append(f"exit code {code}: {running.log.read_text()}")
        outcome.writing += writers(out)
        found = files(out)
        outcome.differing_bytes += difference(self._sound, found)
        outcome.left += sorted(f"{out.name}/{name}" for name in set(found) - set(self._sound))
        self._seen[out] = tree(out)
