"""The night's table ``reliability``: what the history's bins say of its findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from calhard.assess.windows import SPARSE_SPACING, Clock
from calhard.errors import InputError
from calhard.history import History
from calhard.history.bin_rows import REMEDY, BadBins, Group
from calhard.history.bins import FOLDER, BinFolder, named_span
from calhard.reliability import BinRows, pool
from calhard.reliability.diagram import table_columns
from calhard.report.cases import RANK, SEVERITY
from calhard.schema import COVERAGE, RELIABILITY, RELIABILITY_WINDOWS, coverage_row

Ints = NDArray[np.int64]

MOST = 250
"""Model-classes whose cells are kept, the worst first: a fleet may be flagged as a whole.

Their hourly bins of five weeks, some three million, take about 7 s.
"""
AT_ONCE = 16
"""Model-classes whose bins are in memory together: some ten thousand rows each."""
LEVELS = {"yellow": 0, "orange": 1, "red": 2}
KEYS = ["model_id", "class_id"]


@dataclass(frozen=True, slots=True)
class NightReliability:
    """The cells that are kept, and what became of the bins, as rows of the coverage table."""

    table: pa.Table
    told: list[dict[str, object]] = field(default_factory=list)

    @property
    def coverage(self) -> pa.Table:
        """``told`` as a table."""
        return pa.Table.from_pylist(self.told, schema=COVERAGE)


@dataclass(frozen=True, slots=True)
class Spans:
    """The windows of model-classes, µs: reference [start, split), analysis [split, stop); (G,)."""

    start: Ints
    split: Ints
    stop: Ints


def night_reliability(
    history: History, tables: Mapping[str, pa.Table], candidates: pa.Table, clock: Clock
) -> NightReliability:
    """Return the cells of both windows of every model and class with a finding.

    The windows are those of the judged series, so that only bins of rows known at the audit's
    moment are in them. Bins that cannot be read never fail an audit: they are told of.

    Parameters
    ----------
    tables : the night's violations, regressions and warnings
    candidates : evidence of the series that may have become findings
    """
    groups = flagged_groups(tables)
    chosen = sorted(groups[:MOST])
    try:
        folder = BinFolder.beside(history)
    except InputError as e:
        row = coverage_row("bin file", "rejected", str(e), 1, FOLDER, "make it readable")
        return NightReliability(RELIABILITY.empty_table(), [row])
    if folder is None or not chosen:
        return NightReliability(RELIABILITY.empty_table())
    spans = spans_of(chosen, candidates, clock)
    told: list[dict[str, object]] = []
    if len(groups) > MOST:
        reason = f"its bins are not kept: those of the worst {MOST:,} findings are"
        told.append(coverage_row("model-class", "outside", reason, len(groups) - MOST))
    told += _missing(history, folder, int(spans.start.min()), int(spans.stop.max()))
    while True:
        try:
            return NightReliability(_cells(folder, chosen, spans), told)
        except BadBins as e:
            folder = folder.without(e.file)
            told.append(coverage_row("bin file", "rejected", e.reason, 1, e.file.name, REMEDY))


def flagged_groups(tables: Mapping[str, pa.Table]) -> list[Group]:
    """Return the models' classes with a violation, a regression or a warning, the worst first.

    Confirmed ones for the worse come first, by severity, then warnings by level, then violations
    that noise may explain or that are for the better.
    """
    worst: dict[Group, int] = {}

    def add(name: str, columns: Sequence[str], rank: Mapping[tuple[str, ...], int] | None) -> None:
        table = tables[name]
        keys = zip(table["model_id"].to_pylist(), table["class_id"].to_pylist(), strict=True)
        said = zip(*(table[c].to_pylist() for c in columns), strict=True)
        for key, words in zip(keys, said, strict=True):
            worst[key] = max(worst.get(key, -1), _rank(words) if rank is None else rank[words])

    add("regressions", ("severity",), None)
    add("violations", ("severity", "verdict", "direction"), None)
    add("warnings", ("warning_level",), {(w,): 1 + level for w, level in LEVELS.items()})
    return sorted(worst, key=lambda group: (-worst[group], group))


def _rank(words: Sequence[str]) -> int:
    """Of a regression or a violation; 0 where it is unconfirmed or for the better."""
    severity, *rest = words
    return 0 if rest and rest != ["violated", "worse"] else 10 + RANK[SEVERITY[severity]]


def spans_of(groups: Sequence[Group], candidates: pa.Table, clock: Clock) -> Spans:
    """Return the windows of some model-classes: of all their series that may be findings.

    Windows that are cut by time are the clock's; those that count samples begin where the series'
    evidence says so. None reaches beyond the last value that was audited.
    """
    rows = candidates.select(
        [*KEYS, "reference_start", "analysis_start", "last_timestamp", "spacing_seconds"]
    )
    models = pa.array(sorted({model for model, _ in groups}), pa.string())
    rows = rows.filter(pc.is_in(rows["model_id"], value_set=models))
    found = rows.group_by(KEYS, use_threads=False).aggregate(
        [
            ("reference_start", "min"),
            ("analysis_start", "min"),
            ("last_timestamp", "max"),
            ("spacing_seconds", "max"),
        ]
    )
    own = {(row["model_id"], row["class_id"]): row for row in found.to_pylist()}
    told = [_span(own.get(group, {}), clock) for group in groups]
    start, split, stop = (np.array(column, np.int64) for column in zip(*told, strict=True))
    return Spans(start, split, stop)


def _span(row: Mapping[str, Any], clock: Clock) -> tuple[int, int, int]:
    spacing = row.get("spacing_seconds_max") or 0.0
    counted = clock.reference_samples is not None or spacing * 1e6 > SPARSE_SPACING
    start = _instant(row.get("reference_start_min"), clock.reference + 1)
    split = _instant(row.get("analysis_start_min"), clock.analysis + 1)
    last = _instant(row.get("last_timestamp_max"), clock.cut)
    return start, split if counted else clock.analysis + 1, min(last, clock.cut) + 1


def _instant(value: datetime | None, default: int) -> int:
    if value is None:
        return default
    return int(pa.scalar(value, pa.timestamp("us", "UTC")).cast(pa.int64()).as_py())


def _missing(
    history: History, folder: BinFolder, since: int, until: int
) -> list[dict[str, object]]:
    """Parts of the history, named by their month or day, that have no bins beside them."""
    there = {file.name for file in folder.files}
    spans = ((file.name, named_span(file.name)) for file in history.files)
    near = [name for name, span in spans if span and span[1] > since and span[0] < until]
    lost = sorted(name for name in near if f"{FOLDER}/{name}" not in there)
    if not lost:
        return []
    reason = "a part of the history has no reliability bins"
    return [coverage_row("bin file", "missing", reason, len(lost), f"{FOLDER}/{lost[0]}", REMEDY)]


def _cells(folder: BinFolder, groups: Sequence[Group], spans: Spans) -> pa.Table:
    """The rows of `schema.RELIABILITY`, a few model-classes in memory at a time."""
    parts = [RELIABILITY.empty_table()]
    for first in range(0, len(groups), AT_ONCE):
        mine = groups[first : first + AT_ONCE]
        rows = slice(first, first + AT_ONCE)
        own = Spans(spans.start[rows], spans.split[rows], spans.stop[rows])
        read = folder.read(mine, int(own.start.min()), int(own.stop.max()))
        windows = [kept for bins in read if len((kept := _windowed(bins, own)).group)]
        if windows:
            parts.append(_rows(mine, BinRows.concatenate(windows)))
    return pa.concat_tables(parts).combine_chunks()


def _windowed(bins: BinRows, spans: Spans) -> BinRows:
    """The bins within their group's windows; ``group`` becomes twice its number, plus the window's.

    Of `RELIABILITY_WINDOWS`, reference is 0 and analysis 1.
    """
    group, stamp = bins.group, bins.timestamp
    inside = (stamp >= spans.start[group]) & (stamp < spans.stop[group])
    window = 2 * group + (stamp >= spans.split[group])
    columns = [getattr(bins, name) for name in BinRows.__slots__ if name != "group"]
    return BinRows(window, *columns).take(inside)


def _rows(groups: Sequence[Group], bins: BinRows) -> pa.Table:
    pooled = pool(bins, len(RELIABILITY_WINDOWS))
    owner, window = (pooled.group // 2).tolist(), (pooled.group % 2).tolist()
    keys = {
        "model_id": [groups[i][0] for i in owner],
        "class_id": [groups[i][1] for i in owner],
        "window": [RELIABILITY_WINDOWS[i] for i in window],
    }
    values = {
        name: pa.array(column).cast(RELIABILITY.field(name).type)
        for name, column in table_columns(pooled).items()
    }
    columns = {name: pa.array(words, pa.string()) for name, words in keys.items()} | values
    return pa.table([columns[name] for name in RELIABILITY.names], schema=RELIABILITY)
