"""Which models a shard holds, and how many rows of each: one pass over a single column."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from calhard.history.batches import Unreadable, read_batches
from calhard.history.columns import KNOWN, ColumnPlan
from calhard.history.convert import ColumnError, to_microseconds
from calhard.history.ids import SOUND, Bools, Ints, Names
from calhard.history.rules import known_from
from calhard.history.shards import Piece, Reading, ShardSpec

UNTOLD = np.iinfo(np.int64).min


def counted(names: Names, chosen: Bools | None = None) -> dict[str, int]:
    """Return the rows of each usable name; those that are ``chosen`` alone, all by default."""
    index = names.index if chosen is None else names.index[chosen]
    index = index[index >= 0]
    rows = np.bincount(index, minlength=len(names.words)).tolist()
    usable = (names.faults[:-1] == SOUND).tolist()
    found: Counter[str] = Counter()
    for word, count, ok in zip(names.words, rows, usable, strict=True):
        if ok and count:
            found[word] += count
    return found


def models_of(spec: ShardSpec, reading: Reading, *, within: bool = False) -> Counter[str]:
    """Return the rows of each model of a shard; whoever audits it tells what cannot be read.

    Parameters
    ----------
    within : only the rows within reach of the audit, which are those that it holds
    """
    counts: Counter[str] = Counter()
    for piece in spec.pieces:
        if reading.files[piece.file].path in reading.excluded:
            continue
        try:
            _count(piece, reading, counts, within=within)
        except (pa.ArrowException, Unreadable, ColumnError):
            continue
    return Counter(
        {
            model: rows
            for model, rows in counts.items()
            if spec.holds(model) and model not in reading.refused
        }
    )


def _count(piece: Piece, reading: Reading, counts: Counter[str], *, within: bool) -> None:
    file, plan = reading.files[piece.file], reading.plans[piece.file]
    constant = plan.constants.get("model_id")
    columns = plan.only(("model_id", "timestamp", *([KNOWN] if within else [])))
    for batch in read_batches(reading.filesystem, file, columns, piece.row_groups):
        chosen = _within(batch, plan, reading) if within else None
        if constant is not None:
            counts[constant] += batch.num_rows if chosen is None else int(chosen.sum())
        else:
            counts.update(counted(Names.of(batch[plan.source["model_id"]]), chosen))


def _within(batch: pa.RecordBatch, plan: ColumnPlan, reading: Reading) -> Bools:
    """Which rows of a batch an audit holds, by their instants."""
    told = to_microseconds(batch[plan.source["timestamp"]], reading.timezone)
    stamp: Ints = told.fill_null(UNTOLD).to_numpy()
    known = known_from(stamp, batch, plan, reading.timezone)
    latest = min(reading.as_of_us, reading.latest_us)
    found: Bools = (stamp >= reading.since_us) & (known <= latest)
    return found
