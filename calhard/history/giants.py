"""Models that no worker could hold, found before any work starts.

Of a sorted history rows are streamed, so that a worker holds a block and the rows of one series: a
model may have any number of classes. Of another it holds a shard, which is split down to a single
model where it is too large. Less cannot be held, whatever is tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calhard.history.footers import series_rows
from calhard.history.models import models_of
from calhard.history.shards import Reading, ShardSpec

STREAMED = (60, 16, 8)
GATHERED = (40, 12, 6)
"""Bytes of a row that a worker holds: by itself, for each metric and for each tag.

Measured as what more rows add to the most that a worker takes, and a tenth under that; a gathered
model takes that with many classes, and up to three times as much with one.
"""


@dataclass(frozen=True, slots=True)
class Giant:
    """A model that is too large for a worker; ``class_id`` is the series that is, if one alone."""

    model_id: str
    class_id: str | None
    rows: int
    """Rows within reach of the audit, at least."""
    bytes: int
    """What a worker would hold at least."""


def row_bytes(reading: Reading, *, ordered: bool) -> int:
    """Return how many bytes a worker holds for a row at least, beside the blocks it works on."""
    row, metric, tag = STREAMED if ordered else GATHERED
    return row + metric * len(reading.metrics) + tag * len(reading.tags)


def find_giants(shards: Sequence[ShardSpec], reading: Reading, limit: int) -> list[Giant]:
    """Return the models of which a worker would have to hold more than ``limit`` bytes, by name.

    Shards of few rows are not looked at. Of larger ones that are sorted the footers tell, in
    which what they leave open is not counted; of others the models and instants are read.
    """
    found: dict[str, Giant] = {}
    for spec in shards:
        each = row_bytes(reading, ordered=spec.ordered)
        if spec.rows * each <= limit:
            continue
        for model_id, class_id, rows in _units(spec, reading):
            giant = Giant(model_id, class_id, rows, rows * each)
            if giant.bytes > limit and spec.holds(model_id):
                found[model_id] = max(giant, found.get(model_id, giant), key=lambda g: g.rows)
    return [found[model_id] for model_id in sorted(found)]


def _units(spec: ShardSpec, reading: Reading) -> Iterator[tuple[str, str | None, int]]:
    """What a worker holds at once of a shard: (model, class, rows); no class: the whole model."""
    if not spec.ordered:
        for model_id, rows in models_of(spec, reading, within=True).items():
            yield model_id, None, rows
        return
    counts: Counter[tuple[str, str]] = Counter()
    for piece in spec.pieces:
        counts += series_rows(reading, piece)
    for (model_id, class_id), rows in counts.items():
        yield model_id, class_id, rows
