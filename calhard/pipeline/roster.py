"""Which models a night misses, meets for the first time, or no longer minds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from calhard.judge.evidence import CANDIDATE
from calhard.plan import AuditPlan
from calhard.schema import WHOLE_MODEL

NOT_REPORTED = "the model is expected and has not reported at all"
STOPPED = "the model is expected and has not reported in the analysis window"


@dataclass(frozen=True, slots=True)
class Roster:
    """Models that are not simply audited; names in order.

    ``silent`` are expected and have no row, ``stopped`` are expected and have none in the analysis
    window, ``new`` have rows and are not on a list of expected models, ``retired`` are on the list
    of retired ones: neither audited nor missed.
    """

    silent: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()

    @property
    def failed(self) -> dict[str, str]:
        """Why each model failed that is missed."""
        return dict.fromkeys(self.silent, NOT_REPORTED) | dict.fromkeys(self.stopped, STOPPED)

    def coverage(self) -> list[dict[str, object]]:
        """Return the rows of the coverage table, one a model."""
        return [
            *_rows(
                self.silent,
                "missing",
                "expected, but has no row",
                "check that it reports, or take it off expected_models",
            ),
            *_rows(
                self.stopped,
                "missing",
                "expected, but has no row in the analysis window",
                "check that it reports, or take it off expected_models",
            ),
            *_rows(self.new, "new", "not on expected_models", "add it to expected_models"),
            *_rows(self.retired, "retired", "on retired_models", ""),
        ]


def roster(
    plan: AuditPlan, audited: Iterable[str], retired: Iterable[str], stopped: Iterable[str] = ()
) -> Roster:
    """Return the roster of a night.

    Parameters
    ----------
    plan : names the expected and the retired models
    audited : models that were audited
    retired : models whose rows were left out since they are retired
    stopped : expected models with rows, but none in the analysis window
    """
    present, expected = set(audited), set(plan.expected_models)
    away = sorted(expected - present)
    gone = {m for m, is_gone in zip(away, plan.retired(away).tolist(), strict=True) if is_gone}
    return Roster(
        silent=tuple(m for m in away if m not in gone),
        stopped=tuple(sorted(stopped)),
        new=tuple(sorted(present - expected)) if expected else (),
        retired=tuple(sorted(gone | set(retired))),
    )


def with_silent(
    candidates: pa.Table, groups: pa.Table, models: Roster, metric: str
) -> tuple[pa.Table, pa.Table]:
    """Add a failed candidate and a group for every expected model that does not report.

    Where the model has a group of that name already, that group gets one more failure.
    """
    key = {"class_id": WHOLE_MODEL, "metric": metric, "status": "failed", "worse": True}
    counts = {"audited": 0, "failed": 1, "insufficient": 0, "indeterminate": 0}
    nights = {"nights": 0, "nights_violated": 0, "class_id": WHOLE_MODEL}
    failed = [
        {"model_id": model, **key, "kind": "MetricFailure", "reason": reason}
        for model, reason in models.failed.items()
    ]
    place = groups.schema.get_field_index("failed")
    there = pc.and_(
        pc.is_in(groups["model_id"], pa.array(models.stopped, pa.string())),
        pc.equal(groups["class_id"], WHOLE_MODEL),
    )
    more = pc.add(groups["failed"], there.cast(groups.schema.field(place).type))
    known = set(groups.filter(there)["model_id"].to_pylist())
    counted = [{"model_id": m, **counts, **nights} for m in models.failed if m not in known]
    groups = groups.set_column(place, groups.schema.field(place), more)
    return (
        pa.concat_tables([candidates, pa.Table.from_pylist(failed, schema=CANDIDATE)]),
        pa.concat_tables([groups, pa.Table.from_pylist(counted, schema=groups.schema)]),
    )


def _rows(
    models: tuple[str, ...], outcome: str, reason: str, remedy: str
) -> list[dict[str, object]]:
    told = {"unit": "model", "outcome": outcome, "reason": reason, "remedy": remedy, "count": 1}
    return [{**told, "example": model} for model in models]
