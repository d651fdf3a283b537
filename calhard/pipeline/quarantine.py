"""Models that could not be computed: named, never healthy, and a loss of coverage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from calhard.engines import Quarantined
from calhard.history import ShardSpec
from calhard.pipeline.judging import JudgeTask, batches_of
from calhard.pipeline.series import KeptShard
from calhard.schema import WHOLE_MODEL, coverage_row
from calhard.wording.names import display_name

FAILED = "failed to compute"
LONGEST = 1_000
REMEDY = (
    "all other models were audited; look at these models' rows, or list them under retired_models"
)


@dataclass(frozen=True, slots=True)
class Blamed:
    """A model that could not be computed, or a range of them of which nothing else is known."""

    reason: str
    rows: int
    model: str | None = None
    after: str | None = None
    through: str | None = None
    what: str = FAILED
    remedy: str = REMEDY

    def holds(self, model_id: str) -> bool:
        """Return whether it is, or may be, this model."""
        if self.model is not None:
            return model_id == self.model
        return (self.after is None or model_id > self.after) and (
            self.through is None or model_id <= self.through
        )

    def told(self) -> str:
        """Return it in a line, safe to show."""
        name = _range(self.after, self.through) if self.model is None else f"model {self.model!r}"
        return display_name(f"{name}: {self.what}: {self.reason}; {self.remedy}", LONGEST)

    def coverage(self) -> dict[str, object]:
        """Return its row of the coverage table."""
        reason = f"{self.what}: {self.reason}"
        unit, told = "model", self.model
        if told is None:
            unit, told = "shard", _range(self.after, self.through)
        return coverage_row(unit, "indeterminate", reason, 1, told, self.remedy)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """All that could not be computed in a night, in the order of names."""

    blamed: tuple[Blamed, ...] = ()
    unkept: tuple[Quarantined[KeptShard], ...] = ()
    """Shards that were audited, and of which the values behind their series are not kept."""

    @classmethod
    def of(cls, blamed: Iterable[Blamed], unkept: Iterable[Quarantined[KeptShard]]) -> Quarantine:
        """Return a quarantine in its order."""
        order = sorted(blamed, key=lambda b: (b.model or b.through or "", b.reason))
        return cls(tuple(order), tuple(unkept))

    @property
    def models(self) -> tuple[str, ...]:
        """Those that are known by name."""
        return tuple(b.model for b in self.blamed if b.model is not None)

    @property
    def rows(self) -> int:
        """About how many rows were not audited for it."""
        return sum(b.rows for b in self.blamed)

    def excused(self, models: Iterable[str]) -> list[str]:
        """Return those of some models that may be in it: nobody knows whether they are silent."""
        return [m for m in models if any(b.holds(m) for b in self.blamed)]

    def coverage(self) -> list[dict[str, object]]:
        """Return the rows of the coverage table."""
        return [*(b.coverage() for b in self.blamed), *map(_unkept, self.unkept)]

    def with_groups(self, groups: pa.Table) -> pa.Table:
        """Add to the groups of a night one for every model in it, of which nothing is known."""
        counts = {"audited": 0, "failed": 0, "insufficient": 0, "indeterminate": 1}
        nights = {"nights": 0, "nights_violated": 0, "class_id": WHOLE_MODEL}
        added = [{"model_id": model, **counts, **nights} for model in self.models]
        return pa.concat_tables([groups, pa.Table.from_pylist(added, schema=groups.schema)])


def _range(after: str | None, through: str | None) -> str:
    """A range of models in words."""
    ends = [
        "" if after is None else f"after {after!r}",
        "" if through is None else f"through {through!r}",
    ]
    return " ".join(["models", *filter(None, ends)]) if any(ends) else "all models"


def _unkept(failed: Quarantined[KeptShard]) -> dict[str, object]:
    shard = failed.task
    reason = f"audited, but the values behind them could not be kept: {failed.reason}"
    told = _range(shard.spec.after, shard.spec.through)
    remedy = "nothing to mend in the verdicts; explain and the page draw no plot of them"
    return coverage_row("group", "unkept", reason, shard.expected, told, remedy)


def blamed_shards(given_up: Sequence[Quarantined[ShardSpec]]) -> Iterator[Blamed]:
    """Yield who is to blame for shards that could not be assessed."""
    for failed in given_up:
        spec = failed.task
        yield Blamed(failed.reason, spec.rows, spec.model, spec.after, spec.through)


def blamed_groups(given_up: Sequence[Quarantined[JudgeTask]], folder: Path) -> Iterator[Blamed]:
    """Yield who is to blame for groups that could not be judged; all are known by name."""
    for failed in given_up:
        task = failed.task
        found = (m for g, _ in batches_of(task, folder) for m in g["model_id"].to_pylist())
        models = list(dict.fromkeys(found))
        share = task.rows * (task.stop - task.start) // max(task.count, 1)
        for model in models:
            yield Blamed(failed.reason, share // len(models), model)
