"""One block of groups becomes rows of accumulators, one per series, in key order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from calhard.assess.accumulate import accumulate
from calhard.assess.columns import LEAST_SPREAD, NIGHTS, Columns, accumulators, pack
from calhard.assess.correlation import CorrelationSketch
from calhard.assess.dense import aggregate_dense
from calhard.assess.panel import Ragged, panels, sound_values
from calhard.assess.silence import Sources
from calhard.assess.slo import slo_columns
from calhard.assess.windows import Clock, Windows, fills, find_windows
from calhard.schema import HEADS, MICROSECONDS_PER_DAY, Metric
from calhard.series import SeriesBlock

if TYPE_CHECKING:
    from calhard.plan import AuditPlan
from calhard_kernels._array import Array
from calhard_kernels.moments import moments


@dataclass(frozen=True, slots=True)
class Rules:
    """What the assessment of a series depends on, beside its values."""

    clock: Clock
    metrics: Mapping[str, Metric]
    """The audited metrics, in the order in which tables list them."""
    heads: frozenset[str]
    min_reference: int = 10
    min_analysis: int = 3
    restart_on_deployment: bool = False

    @classmethod
    def of(cls, plan: AuditPlan, metrics: Mapping[str, Metric], clock: Clock) -> Rules:
        """Return a plan's rules for some metrics."""
        return cls(
            clock,
            metrics,
            frozenset(head for head in HEADS if head in plan.regression.heads),
            plan.windows.min_reference,
            plan.windows.min_analysis,
            plan.windows.restart_on_deployment,
        )


def assess_block(
    block: SeriesBlock, rules: Rules, sketch: CorrelationSketch
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Return the block's groups and its series' accumulators; adds the series to ``sketch``.

    The accumulators have one row per (group, metric): ``group`` is the row of the groups' batch,
    ``metric`` the index into ``rules.metrics``; a series too short for statistics has NaN.
    """
    raw, block = block, aggregate_dense(block, rules.clock, rules.metrics)
    whole = find_windows(block, rules.clock, restart=rules.restart_on_deployment)
    found, sources = [], Sources(raw, rules.clock)
    for m, metric in enumerate(rules.metrics.values()):
        own, windows = metric_windows(block, metric.name, rules, whole)
        columns = _assess_metric(own, windows, metric, rules)
        columns["n_missing"] = _missing(block.values[metric.name], whole)
        sent = sources.sent(metric.name, dense=raw is not block)
        day = sent.pop("sent_day", columns["sent_day"])
        columns |= sent | {"sent_day": np.where(np.isnan(day), columns["sent_day"], day)}
        tested = columns["tested"] > 0
        if tested.any():
            sketch.add(m, {name: values[tested] for name, values in columns.items()})
        found.append(columns)
    return _groups(block), _interleaved(found, rules.heads)


def metric_windows(
    block: SeriesBlock, metric: str, rules: Rules, whole: Windows
) -> tuple[SeriesBlock, Windows]:
    """Return the rows that report a metric and their windows: each series has a cadence of its own.

    ``whole`` are the windows of all rows, which serve where every row reports it.
    """
    own = block.reported(metric)
    if own is block:
        return block, whole
    return own, find_windows(own, rules.clock, restart=rules.restart_on_deployment)


def _missing(values: Array, whole: Windows) -> Array:
    """Rows within both windows that do not report the metric, shape (G,)."""
    missing = np.concatenate(([0], np.cumsum(np.isnan(values))))
    return (missing[whole.stop] - missing[whole.start]).astype(np.float64)


def _assess_metric(block: SeriesBlock, windows: Windows, metric: Metric, rules: Rules) -> Columns:
    ragged = sound_values(block.values[metric.name], metric, windows)
    cut = rules.clock.cut
    columns = _counts(block, windows, ragged, cut)
    if metric.is_count:
        columns |= _count_columns(ragged, block.timestamp, rules.clock)
    enough = (ragged.n_reference >= rules.min_reference) & (ragged.n_analysis >= rules.min_analysis)
    tested = enough & ~block.conflicting & (not metric.is_count)
    columns["tested"] = tested.astype(np.float64)
    weighed = metric.bound in {"drift", "level"}
    full = fills(ragged.n_reference, ragged.n_analysis, windows.spacing, rules.clock)
    for cadence in np.unique(windows.cadence[tested]):
        groups = np.flatnonzero(tested & (windows.cadence == cadence))
        weights = block.total_samples if weighed else None
        for panel in panels(ragged, block.timestamp, weights, groups, full[groups], cut):
            part = accumulate(panel, metric, int(cadence), rules.heads)
            if weighed:
                part |= slo_columns(panel, rules.clock.night_days)
            _scatter(columns, part, panel.series, len(block))
    if not metric.is_count:
        short = ~enough & (ragged.n_reference >= LEAST_SPREAD) & (ragged.n_analysis > 0)
        for panel in panels(ragged, block.timestamp, None, np.flatnonzero(short), False, cut):
            spread = moments(panel.x[:, panel.reference], panel.mask(panel.reference))
            _scatter(columns, pack("raw_a", spread), panel.series, len(block))
    return columns


def _counts(block: SeriesBlock, windows: Windows, ragged: Ragged, cut: int) -> Columns:
    """What is known of every series, however short: sizes, defects, the latest value."""
    size, time = len(block), block.timestamp
    some = ragged.stop > ragged.start
    last = np.where(some, ragged.stop - 1, 0)
    row = last if ragged.row is None else (ragged.row[last] if len(ragged.row) else last)
    value = ragged.value[last] if len(ragged.value) else np.full(size, np.nan)
    return {
        "cadence": windows.cadence.astype(np.float64),
        "spacing": windows.spacing,
        "spacing_raw": windows.spacing,
        "pause": windows.pause,
        "conflicting": block.conflicting.astype(np.float64),
        "n_reference": ragged.n_reference.astype(np.float64),
        "n_analysis": ragged.n_analysis.astype(np.float64),
        "n_night": (ragged.stop - ragged.night).astype(np.float64),
        "bad_reference": ragged.bad_reference.astype(np.float64),
        "bad_analysis": ragged.bad_analysis.astype(np.float64),
        "first_bad_day": _days(time, ragged.first_bad, ragged.first_bad >= 0, cut),
        "last_value": np.where(some, value, np.nan),
        "last_day": _days(time, row, some, cut),
        "sent_day": _days(time, row, some, cut),
        "reference_day": _day_of(ragged, ragged.start, ragged.split, time, cut),
        "analysis_day": _day_of(ragged, ragged.split, ragged.stop, time, cut),
    }


def _day_of(ragged: Ragged, begin: Array, end: Array, time: Array, cut: int) -> Array:
    """Day of the first value of a window; NaN for an empty one."""
    some = begin < end
    place = np.where(some, begin, 0)
    row = place if ragged.row is None or not len(ragged.row) else ragged.row[place]
    return _days(time, row, some, cut)


def _count_columns(ragged: Ragged, time: Array, clock: Clock) -> Columns:
    """Totals by week and night of a metric that counts what must not happen, and since when."""
    owner, place = _analysis_rows(ragged)
    row = place if ragged.row is None else ragged.row[place]
    value, size = ragged.value[place], len(ragged.start)
    night = np.floor((clock.cut - time[row]) / (clock.cut - clock.night)).astype(np.int64)
    columns = {f"night_mean_{k}": _totals(owner, value, night == k, size) for k in range(NIGHTS)}
    event = np.full(size, np.iinfo(np.int64).max)
    np.minimum.at(event, owner[value > 0], time[row[value > 0]])
    bad = np.flatnonzero(ragged.first_bad >= 0)
    np.minimum.at(event, bad, time[ragged.first_bad[bad]])
    happened = event < np.iinfo(np.int64).max
    day = (np.where(happened, event, clock.cut) - clock.cut) / MICROSECONDS_PER_DAY
    return columns | {
        "total_week": np.bincount(owner, weights=value, minlength=size),
        "first_bad_day": np.where(happened, day, np.nan),
    }


def _analysis_rows(ragged: Ragged) -> tuple[Array, Array]:
    """Group and place among the sound values of every value of the analysis windows."""
    sizes = ragged.stop - ragged.split
    owner = np.repeat(np.arange(len(sizes)), sizes)
    begin = np.cumsum(sizes) - sizes
    return owner, ragged.split[owner] + np.arange(len(owner)) - begin[owner]


def _totals(owner: Array, value: Array, chosen: Array, size: int) -> Array:
    """Sum of the chosen values of each group; NaN for a group that has none."""
    seen = np.bincount(owner[chosen], minlength=size)
    total = np.bincount(owner[chosen], weights=value[chosen], minlength=size)
    return np.where(seen > 0, total, np.nan)


def _days(timestamp: Array, row: Array, known: Array, cut: int) -> Array:
    if not len(timestamp):
        return np.full(len(row), np.nan)
    days = (timestamp[np.where(known, row, 0)] - cut) / MICROSECONDS_PER_DAY
    return np.where(known, days, np.nan)


def _scatter(columns: Columns, part: Columns, series: Array, size: int) -> None:
    for name, values in part.items():
        if name not in columns:
            columns[name] = np.full(size, np.nan)
        columns[name][series] = values


def _groups(block: SeriesBlock) -> pa.RecordBatch:
    size = len(block)
    deployed = block.deployed_at if len(block.deployed_at) else np.full(size, -1, np.int64)
    fields = {
        "model_id": pa.array(block.model_id, pa.string()),
        "class_id": pa.array(block.class_id, pa.string()),
        "deployed_at": pa.array(deployed, pa.int64()),
        **{f"tag:{name}": pa.array(v, pa.string()) for name, v in block.tags.items()},
    }
    return pa.RecordBatch.from_pydict(fields)


def _interleaved(found: list[Columns], heads: frozenset[str]) -> pa.RecordBatch:
    """Return the metrics' columns as rows (group, metric), group by group."""
    metrics, size = len(found), len(found[0]["tested"])
    fields: dict[str, Array] = {
        "group": np.repeat(np.arange(size, dtype=np.int64), metrics),
        "metric": np.tile(np.arange(metrics, dtype=np.int64), size),
    }
    for name in accumulators(heads):
        stacked = np.full((size, metrics), np.nan)
        for m, columns in enumerate(found):
            if name in columns:
                stacked[:, m] = columns[name]
        fields[name] = stacked.ravel()
    return pa.RecordBatch.from_pydict({name: pa.array(values) for name, values in fields.items()})
