"""Which models a shard holds, and how many rows of each: one pass over a single column."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from calhard.history.batches import Unreadable, read_batches
from calhard.history.convert import ColumnError
from calhard.history.ids import SOUND, Names
from calhard.history.shards import Piece, Reading, ShardSpec


def counted(names: Names) -> dict[str, int]:
    """Return the rows of each usable name."""
    index = names.index[names.index >= 0]
    rows = np.bincount(index, minlength=len(names.words)).tolist()
    usable = (names.faults[:-1] == SOUND).tolist()
    found: Counter[str] = Counter()
    for word, count, ok in zip(names.words, rows, usable, strict=True):
        if ok and count:
            found[word] += count
    return found


def models_of(spec: ShardSpec, reading: Reading) -> Counter[str]:
    """Return the rows of each model of a shard; whoever audits it tells what cannot be read."""
    counts: Counter[str] = Counter()
    for piece in spec.pieces:
        if reading.files[piece.file].path in reading.excluded:
            continue
        try:
            _count(piece, reading, counts)
        except (pa.ArrowException, Unreadable, ColumnError):
            continue
    return Counter({model: rows for model, rows in counts.items() if spec.holds(model)})


def _count(piece: Piece, reading: Reading, counts: Counter[str]) -> None:
    file, plan = reading.files[piece.file], reading.plans[piece.file]
    constant = plan.constants.get("model_id")
    columns = plan.only(("timestamp",) if constant is not None else ("model_id", "timestamp"))
    for batch in read_batches(reading.filesystem, file, columns, piece.row_groups):
        if constant is not None:
            counts[constant] += batch.num_rows
        else:
            counts.update(counted(Names.of(batch[plan.source["model_id"]])))
