"""Judged series become rows of the evidence table, and some of them candidates for findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.assess.columns import NIGHTS, Columns, to_columns
from calhard.assess.windows import CADENCES, Clock
from calhard.judge.names import FORECAST
from calhard.judge.pinned import PINNED, REFERENCE
from calhard.judge.ruling import Ruling
from calhard.judge.selection import JUMP, combine, deflated, effects, is_worse, kinds
from calhard.judge.status import FAILED, OK
from calhard.schema import EVIDENCE, HEADS, MICROSECONDS_PER_DAY, STATUSES, TIMESTAMP
from calhard_kernels._array import Array
from calhard_kernels.fdr import bh_q_values, bh_threshold, by_q_values, by_threshold

if TYPE_CHECKING:
    from calhard.plan import Regression

Floats = NDArray[np.float64]

CANDIDATE = pa.schema([*EVIDENCE, ("kind", pa.string()), ("worse", pa.bool_())])
"""Evidence of a series that may become a finding, with what it would be found to be."""
RISK_SHOWN = 0.3
"""Smaller risks are no candidate for a warning."""


@dataclass(frozen=True, slots=True)
class FleetVerdict:
    """p-values of every series of the fleet, in evidence order; 8 bytes each."""

    p: Floats
    head: NDArray[np.int8]
    q: Floats
    slope_q: Floats
    slo_threshold: float
    """Largest p at which an SLO test is confirmed."""

    def confirmed(self, regression: Regression) -> NDArray[np.bool_]:
        """Return which series have a confirmed change: q and p small enough."""
        found: NDArray[np.bool_] = (self.q <= regression.fdr_level) & (self.p <= regression.max_p)
        return found

    def part(self, start: int, stop: int) -> FleetVerdict:
        """Return the verdict of some of the series."""
        rows = slice(start, stop)
        return FleetVerdict(
            self.p[rows], self.head[rows], self.q[rows], self.slope_q[rows], self.slo_threshold
        )


def _q_values(p: Floats, regression: Regression) -> Floats:
    return by_q_values(p) if regression.fdr == "by" else bh_q_values(p)


def fleet_q_values(p: Floats, regression: Regression) -> Floats:
    """Return the q-values of a night: Benjamini–Hochberg (or –Yekutieli), once it has opened.

    Benjamini–Hochberg at 5 % alone alarms on 5 % of all nights on which every series is healthy. A
    night opens when its smallest q is at most ``night_level`` (Simes' test of "all are healthy");
    until then its q-values are raised by fdr_level/night_level, so that none reaches fdr_level.

    Source: Simes 1986; Benjamini & Hochberg 1995.
    """
    q = _q_values(p, regression)
    smallest = np.nanmin(q, initial=1.0)
    if smallest <= regression.night_level:
        return q
    raised: Floats = np.minimum(q * max(regression.fdr_level / regression.night_level, 1.0), 1.0)
    return raised


def decide(
    batches: Iterable[pa.RecordBatch], factors: Floats, regression: Regression
) -> FleetVerdict:
    """Combine the heads of every judged series and control false discoveries over all of them.

    ``factors`` is raw λ by metric, cadence and head.
    """
    p, head, slope, slo = [], [], [], []
    for batch in batches:
        columns = to_columns(batch)
        combined, best = combine(columns, factors, regression.weights(), regression.lambda_cap)
        p.append(combined)
        head.append(best.astype(np.int8))
        slope.append(deflated(columns, "slope", factors, regression.lambda_cap))
        slo += [_random_p(columns, window) for window in ("week", "night")]
    everything = np.concatenate(p)
    limit = by_threshold if regression.fdr == "by" else bh_threshold
    return FleetVerdict(
        everything,
        np.concatenate(head),
        fleet_q_values(everything, regression),
        _q_values(np.concatenate(slope), regression),
        limit(np.concatenate(slo), regression.fdr_level),
    )


def _random_p(columns: Columns, window: str) -> Floats:
    """P-values of the SLO tests that have an error; counts and constants are certain, and no tests.

    A certain breach in the family would raise the threshold of the uncertain ones.
    """
    p: Floats = columns[f"{window}_p"][columns[f"{window}_standard_error"] > 0]
    return p


@dataclass(frozen=True, slots=True)
class EvidenceBatch:
    """Rows of the evidence table, those among them that may be findings, and group counts."""

    table: pa.Table
    candidates: pa.Table
    groups: pa.Table
    """One row per (model, class): series by status, nights with a verdict, nights violated."""
    causes: NDArray[np.int64]
    """Status cause of each series, −1 where it is ok."""


def evidence_batch(
    groups: pa.RecordBatch, judged: pa.RecordBatch, verdict: FleetVerdict, ruling: Ruling
) -> EvidenceBatch:
    """Return the evidence of a batch of judged series; ``verdict`` holds theirs alone."""
    columns = to_columns(judged)
    # A gated series still tells which head came nearest; without any head nothing speaks.
    head = verdict.head.astype(np.int64)
    kind = kinds(columns, head)
    effect, change, onset = effects(columns, head, kind)
    worse = _worse(columns, kind, change, ruling)
    jumped = verdict.confirmed(ruling.plan.regression) & (kind == JUMP)
    columns = columns | {name: np.where(jumped, np.nan, columns[name]) for name in FORECAST}
    group = columns["group"]
    fields = {
        **_keys(groups, group, columns, ruling),
        **_measured(columns, judged, ruling.clock),
        "head": pa.array(np.array([*HEADS, None], dtype=object)[head], pa.string()),
        "effect_size": pa.array(effect, from_pandas=True),
        "change": pa.array(change, from_pandas=True),
        "onset": _instants(onset, ruling.clock.cut),
        "p_value": pa.array(verdict.p, from_pandas=True),
        "q_value": pa.array(verdict.q, from_pandas=True),
        "slope_q": pa.array(verdict.slope_q, from_pandas=True),
        "kind": pa.array(kind, pa.string()),
        "worse": pa.array(worse),
    }
    table = pa.table([fields[name] for name in CANDIDATE.names], schema=CANDIDATE)
    flagged = _flagged(columns, verdict, ruling)
    return EvidenceBatch(
        table.select(EVIDENCE.names),
        table.filter(pa.array(flagged)),
        _group_counts(groups, columns, verdict.slo_threshold),
        columns["cause"].astype(np.int64),
    )


def _worse(columns: Columns, kind: Array, change: Array, ruling: Ruling) -> NDArray[np.bool_]:
    worse = np.zeros(len(kind), np.bool_)
    for m, metric in enumerate(ruling.metrics.values()):
        rows = columns["metric"] == m
        worse[rows] = is_worse(metric.direction, kind[rows], change[rows])
    return worse


def _flagged(columns: Columns, verdict: FleetVerdict, ruling: Ruling) -> NDArray[np.bool_]:
    regression = ruling.plan.regression
    confirmed = verdict.confirmed(regression)
    beyond = (columns["week_beyond"] == 1) | (columns["night_beyond"] == 1)
    beyond &= (columns["status"] == OK) | (columns["status"] == FAILED)
    at_risk = (columns["risk"] > RISK_SHOWN) & (verdict.slope_q <= regression.warning_q)
    flagged: NDArray[np.bool_] = confirmed | beyond | at_risk | (columns["status"] == FAILED)
    return flagged


def _keys(
    groups: pa.RecordBatch, group: Array, columns: Columns, ruling: Ruling
) -> dict[str, pa.Array]:
    take = pa.array(group)
    deployed = groups["deployed_at"].to_numpy()[group]
    inside = deployed > ruling.clock.reference
    names = np.array(list(ruling.metrics), dtype=object)
    cadence = np.array(CADENCES, dtype=object)[columns["cadence"].astype(np.int64)]
    version = "tag:model_version"
    known = version in groups.schema.names
    return {
        "model_id": groups["model_id"].take(take),
        "class_id": groups["class_id"].take(take),
        "metric": pa.array(names[columns["metric"]], pa.string()),
        "cadence": pa.array(cadence, pa.string()),
        "model_version": groups[version].take(take) if known else pa.nulls(len(group), pa.string()),
        "deployed_at": pa.array(deployed, mask=~inside).cast(TIMESTAMP),
    }


_COUNTS = ("n_reference", "n_analysis", "n_night", "n_missing", "n_bad")
_DAYS = {
    "last_timestamp": "last_day",
    "reference_start": "reference_day",
    "analysis_start": "analysis_day",
}
_AHEAD = {
    "predicted_breach_at": "breach_day",
    "breach_earliest": "breach_earliest_day",
    "breach_latest": "breach_latest_day",
}


def _measured(columns: Columns, judged: pa.RecordBatch, clock: Clock) -> dict[str, pa.Array]:
    """Columns that the judge filled in; NaN becomes null.

    A row has its own timestamp; what lies ahead comes when it becomes known.
    """
    found = {
        field.name: pa.array(columns[field.name], from_pandas=True)
        for field in EVIDENCE
        if field.name in columns and pa.types.is_floating(field.type)
    }
    found |= {name: pa.array(columns[name].astype(np.int64)) for name in _COUNTS}
    found |= {name: _instants(columns[day], clock.cut) for name, day in _DAYS.items()}
    found |= {name: _instants(columns[day], clock.as_of) for name, day in _AHEAD.items()}
    status = np.array(STATUSES, dtype=object)[columns["status"].astype(np.int64)]
    found["baseline_source"] = pa.array(_source(columns["pinned"]), pa.string())
    return found | {"status": pa.array(status, pa.string()), "reason": judged["reason"]}


def _source(pinned: Array) -> NDArray[np.object_]:
    """Where a baseline comes from; None where the series has none."""
    words: NDArray[np.object_] = np.array([REFERENCE, PINNED, None], dtype=object)
    chosen: NDArray[np.object_] = words[np.nan_to_num(pinned, nan=2.0).astype(np.int64)]
    return chosen


def _instants(days: Array, origin: int) -> pa.Array:
    """Days from an origin as instants; NaN becomes null."""
    known = np.isfinite(days)
    offset = np.rint(np.where(known, days, 0.0) * MICROSECONDS_PER_DAY).astype(np.int64)
    return pa.array(origin + offset, mask=~known).cast(TIMESTAMP)


def _group_counts(groups: pa.RecordBatch, columns: Columns, slo_threshold: float) -> pa.Table:
    size = groups.num_rows
    group, status = columns["group"], columns["status"].astype(np.int64)
    counted = {
        name: np.bincount(group, weights=status == code, minlength=size).astype(np.int64)
        for code, name in enumerate(STATUSES)
    }
    counted["audited"] = counted.pop("ok") + counted["failed"]
    nights, violated = _nights(columns, size, slo_threshold)
    tags = {name: groups[name] for name in groups.schema.names if name.startswith("tag:")}
    return pa.table(
        {
            "model_id": groups["model_id"],
            "class_id": groups["class_id"],
            **{name: pa.array(values) for name, values in counted.items()},
            "nights": pa.array(nights),
            "nights_violated": pa.array(violated),
            **tags,
        }
    )


def _nights(
    columns: Columns, size: int, slo_threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nights of the last seven with any SLO verdict, and those with a confirmed violation."""
    group = columns["group"]
    sound = (columns["status"] == OK) | (columns["status"] == FAILED)
    seen, broken = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for k in range(NIGHTS):
        p, beyond = columns[f"night_p_{k}"], columns[f"night_beyond_{k}"]
        tested = np.isfinite(p) & sound
        confirmed = tested & (beyond == 1) & ((p <= slo_threshold) | (p == 0))
        seen += np.bincount(group, weights=tested, minlength=size) > 0
        broken += np.bincount(group, weights=confirmed, minlength=size) > 0
    return seen, broken
