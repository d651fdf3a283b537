"""Which models a night misses, meets for the first time, or no longer minds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from calhard.judge.evidence import CANDIDATE
from calhard.plan import AuditPlan
from calhard.schema import WHOLE_MODEL

NOT_REPORTED = "the model is expected and has not reported at all"


@dataclass(frozen=True, slots=True)
class Roster:
    """Models that are not simply audited; names in order.

    ``silent`` are expected and have no row, ``new`` have rows and are not on a list of expected
    models, ``retired`` are on the list of retired ones: neither audited nor missed.
    """

    silent: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()

    def coverage(self) -> list[dict[str, object]]:
        """Return the rows of the coverage table, one a model."""
        return [
            *_rows(
                self.silent,
                "missing",
                "expected, but has no row",
                "check that it reports, or take it off expected_models",
            ),
            *_rows(self.new, "new", "not on expected_models", "add it to expected_models"),
            *_rows(self.retired, "retired", "on retired_models", ""),
        ]


def roster(plan: AuditPlan, audited: Iterable[str], retired: Iterable[str]) -> Roster:
    """Return the roster of a night.

    Parameters
    ----------
    plan : names the expected and the retired models
    audited : models that were audited
    retired : models whose rows were left out since they are retired
    """
    present, expected = set(audited), set(plan.expected_models)
    away = sorted(expected - present)
    gone = {m for m, is_gone in zip(away, plan.retired(away).tolist(), strict=True) if is_gone}
    return Roster(
        silent=tuple(m for m in away if m not in gone),
        new=tuple(sorted(present - expected)) if expected else (),
        retired=tuple(sorted(gone | set(retired))),
    )


def with_silent(
    candidates: pa.Table, groups: pa.Table, silent: tuple[str, ...], metric: str
) -> tuple[pa.Table, pa.Table]:
    """Add a failed candidate and a group for every expected model that does not report."""
    key = {"class_id": WHOLE_MODEL, "metric": metric, "status": "failed", "worse": True}
    told = {"kind": "MetricFailure", "reason": NOT_REPORTED}
    counts = {"audited": 0, "failed": 1, "insufficient": 0, "indeterminate": 0}
    nights = {"nights": 0, "nights_violated": 0, "class_id": WHOLE_MODEL}
    failed = [{"model_id": model, **key, **told} for model in silent]
    counted = [{"model_id": model, **counts, **nights} for model in silent]
    return (
        pa.concat_tables([candidates, pa.Table.from_pylist(failed, schema=CANDIDATE)]),
        pa.concat_tables([groups, pa.Table.from_pylist(counted, schema=groups.schema)]),
    )


def _rows(
    models: tuple[str, ...], outcome: str, reason: str, remedy: str
) -> list[dict[str, object]]:
    told = {"unit": "model", "outcome": outcome, "reason": reason, "remedy": remedy, "count": 1}
    return [{**told, "example": model} for model in models]
