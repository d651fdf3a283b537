"""Models that no worker could hold: told, and left out before any work starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from calhard.assess.windows import Clock
from calhard.engines import Engine, KnowsMemory
from calhard.history import Giant, History, ShardSpec, find_giants
from calhard.pipeline.quarantine import Blamed
from calhard.plan import AuditPlan

LOGGER = logging.getLogger("calhard")
TOO_LARGE = "too large for a worker"
GIB = 2**30
MORE = (
    "give workers more memory (fewer --workers, larger nodes; storage.worker_memory_gib says how "
    "much), or {}; then audit again with --force"
)
SERIES = "drop the series' oldest rows or write fewer, such as means of an hour"
MODEL = "sort the history by calhard prepare: of a sorted one a worker holds a single series"


@dataclass(frozen=True, slots=True)
class Refused:
    """Models that nobody reads: those that are missed, and the retired, of whom nobody is told."""

    blamed: tuple[Blamed, ...] = ()
    retired: frozenset[str] = frozenset()

    @property
    def models(self) -> list[str]:
        """All of them, by name."""
        return sorted({*self.retired, *(b.model for b in self.blamed if b.model is not None)})


def refused_models(
    history: History,
    plan: AuditPlan,
    as_of: int,
    now_us: int,
    shards: Sequence[ShardSpec],
    engine: Engine,
) -> Refused:
    """Return the models that a worker has not the memory for, and warn of each.

    None where neither the plan nor the engine tells how much that is.
    """
    limit = plan.storage.worker_memory
    if limit is None and isinstance(engine, KnowsMemory):
        limit = engine.worker_memory()
    if limit is None:
        return Refused()
    reading = history.reading_of(Clock.of(plan, as_of), now_us)
    giants = find_giants(shards, reading, limit)
    names = [giant.model_id for giant in giants]
    gone = {n for n, is_gone in zip(names, plan.retired(names).tolist(), strict=True) if is_gone}
    blamed = tuple(_blamed(giant, limit) for giant in giants if giant.model_id not in gone)
    for each in blamed:
        LOGGER.warning("%s", each.told())
    return Refused(blamed, frozenset(gone))


def _blamed(giant: Giant, limit: int) -> Blamed:
    unit, other = "the model", MODEL
    if giant.class_id is not None:
        unit, other = f"its class {giant.class_id!r}", SERIES
    needs = f"{giant.rows:,} rows of {unit} take {_gib(giant.bytes)} or more"
    reason = f"{needs}, a worker has {_gib(limit)}"
    remedy = MORE.format(other)
    return Blamed(reason, giant.rows, giant.model_id, what=TOO_LARGE, remedy=remedy)


def _gib(size: int) -> str:
    return f"{size / GIB:.3g} GiB"
