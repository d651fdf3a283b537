"""Rows of whole groups become history rows and bin rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.history.ids import Codes, Floats, Ints, Keys
from calhard.measure.device import array_namespace, moved, rows_at_once
from calhard.measure.grouping import Groups, form_groups
from calhard.measure.metrics import bin_values, metric_values
from calhard.measure.rows import (
    BAD_LABEL,
    MISMATCH,
    OUT_OF_RANGE,
    STATE_COUNT,
    UNLABELLED,
    USED,
    PredictionRows,
)
from calhard.measure.settings import Settings
from calhard.measure.sorting import sort_outcomes
from calhard.measure.tables import BINS, history_schema
from calhard.measure.whole import whole_model
from calhard.schema import TIMESTAMP
from calhard_kernels.bins import equal_mass
from calhard_kernels.blocks import group_blocks

KEYS = ("model_id", "class_id", "timestamp")


@dataclass(frozen=True, slots=True)
class Measured:
    """History rows in the order of their keys, and the bins behind them in the same order."""

    history: pa.Table
    bins: pa.Table


def measure_rows(rows: PredictionRows, keys: Keys, settings: Settings) -> Measured:
    """Return the metrics of every model, class and period, and of every model as a whole.

    ``rows`` are all rows of their models and periods, in any order. The numbers of a group do not
    depend on what else is in ``rows``, nor on the order.
    """
    if not len(rows):
        return _nothing(rows, settings)
    groups = form_groups(rows, keys.pairs, settings.period)
    found = [_measured(rows, groups, keys, settings, np.zeros(len(groups), np.bool_))]
    whole = whole_model(rows, groups, keys, settings)
    if whole is not None and len(whole.rows):
        groups = form_groups(whole.rows, keys.pairs, settings.period)
        top = np.bincount(groups.code[groups.code >= 0], whole.top[groups.code >= 0], len(groups))
        found.append(_measured(whole.rows, groups, keys, settings, top > 0))
    order = [(name, "ascending") for name in KEYS]
    history = pa.concat_tables([m.history for m in found]).sort_by(order)
    bins = pa.concat_tables([m.bins for m in found]).sort_by([*order, ("bin", "ascending")])
    return Measured(history, bins)


def _nothing(rows: PredictionRows, settings: Settings) -> Measured:
    schema = history_schema(settings.plan.measure.extras, tuple(rows.tags))
    return Measured(schema.empty_table(), BINS.empty_table())


def _measured(
    rows: PredictionRows,
    groups: Groups,
    keys: Keys,
    settings: Settings,
    top: NDArray[np.bool_],
) -> Measured:
    if not len(groups):  # periods of rows of which none is full
        return _nothing(rows, settings)
    counts = _counts(rows, groups)
    model = [keys.pairs[code][0] for code in groups.pair.tolist()]
    class_ = [keys.pairs[code][1] for code in groups.pair.tolist()]
    metrics, bins = _metrics(rows, groups, _c_hats(groups.pair, keys, settings), settings)
    columns = {
        "model_id": model,
        "class_id": class_,
        "timestamp": _instants(groups.start),
        "ingested_at": _instants(groups.end),
        **{name: pa.array(v, mask=np.isnan(v)) for name, v in metrics.items()},
        **counts,
        "top_label": top,
        **_latest_tags(rows, groups, keys),
    }
    schema = history_schema(settings.plan.measure.extras, tuple(rows.tags))
    return Measured(
        pa.table([columns[name] for name in schema.names], schema=schema),
        _bin_table(bins, model, class_, columns["timestamp"]),
    )


def _instants(values: Ints) -> pa.Array:
    return pa.array(values).cast(TIMESTAMP)


def _counts(rows: PredictionRows, groups: Groups) -> dict[str, Ints]:
    inside = groups.code >= 0
    code, state = groups.code[inside], rows.state[inside].astype(np.int64)
    width = STATE_COUNT
    by_state = np.bincount(code * width + state, minlength=len(groups) * width)
    table = by_state.reshape(len(groups), width)
    return {
        "score_range_violations": table[:, OUT_OF_RANGE],
        "label_range_violations": table[:, BAD_LABEL],
        "mask_mismatch_count": table[:, MISMATCH],
        "total_samples": table[:, USED],
        "unlabelled_rows": table[:, UNLABELLED],
        "unusable_rows": table.sum(axis=1) - table[:, USED],
    }


def _c_hats(pair: Codes, keys: Keys, settings: Settings) -> Floats:
    there, place = np.unique(pair, return_inverse=True)
    models, classes = zip(*(keys.pairs[code] for code in there.tolist()), strict=True)
    return settings.plan.c_hats_for(models, classes)[place]


def _metrics(
    rows: PredictionRows, groups: Groups, c_hat: Floats, settings: Settings
) -> tuple[dict[str, Floats], dict[str, NDArray[Any]]]:
    """Metrics of every group, and the columns of its bins with the group's place."""
    used = np.flatnonzero((rows.state == USED) & (groups.code >= 0))
    weight = None if rows.weight is None else rows.weight[used]
    outcomes = sort_outcomes(
        groups.code[used], rows.score[used], rows.label[used], weight, len(groups)
    )
    metrics: list[Mapping[str, Floats]] = []
    table: list[Mapping[str, NDArray[Any]]] = []
    measure = settings.plan.measure
    first, xp = 0, array_namespace(settings.device)
    for block in group_blocks(outcomes, rows_at_once(xp)):
        o, end = moved(block, xp), first + len(block.offsets) - 1
        bins = equal_mass(o)
        metrics.append(metric_values(o, bins, c_hat[first:end], measure))
        found = bin_values(o, bins, measure)
        table.append(found | {"group": found["group"] + first})
        first = end
    return _joined(metrics), _joined(table)


def _joined(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _latest_tags(rows: PredictionRows, groups: Groups, keys: Keys) -> dict[str, list[str | None]]:
    """Each tag of each group: that of its latest row that has one, of equals the last by name."""
    found = {}
    for tag, code in rows.tags.items():
        there = np.flatnonzero((code >= 0) & (groups.code >= 0))
        words = keys.words.get(tag, [])
        rank = np.empty(len(words), np.int64)
        rank[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
        order = np.lexsort((rank[code[there]], rows.timestamp[there], groups.code[there]))
        latest: list[str | None] = [None] * len(groups)
        group, word = groups.code[there][order], code[there][order]
        last = np.flatnonzero(np.append(group[1:] != group[:-1], np.ones(min(len(group), 1), bool)))
        for g, w in zip(group[last].tolist(), word[last].tolist(), strict=True):
            latest[g] = words[w]
        found[tag] = latest
    return found


def _bin_table(
    bins: Mapping[str, NDArray[Any]],
    model: Sequence[str],
    class_: Sequence[str],
    timestamp: pa.Array,
) -> pa.Table:
    group = pa.array(bins["group"])
    keys = [
        pa.array(model, pa.string()).dictionary_encode().take(group).cast(pa.string()),
        pa.array(class_, pa.string()).dictionary_encode().take(group).cast(pa.string()),
        timestamp.take(group),
    ]
    merged = bins["merged_with"]
    rest = [
        pa.array(bins[name].astype(BINS.field(name).type.to_pandas_dtype()), mask=mask)
        for name, mask in (
            (name, merged < 0 if name == "merged_with" else None) for name in BINS.names[3:]
        )
    ]
    return pa.table([*keys, *rest], schema=BINS)
