"""What the footers of Parquet files tell before any row is read."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from calhard.history.batches import open_parquet
from calhard.history.columns import KNOWN, ColumnPlan
from calhard.history.convert import ColumnError, to_microseconds, value_type
from calhard.history.files import FAULTS, HistoryFile
from calhard.history.ids import decoded
from calhard.history.shards import Extent, Piece, Reading


def row_group_extents(
    filesystem: pafs.FileSystem, file: HistoryFile, plan: ColumnPlan, index: int
) -> list[Extent] | None:
    """Return the model ranges of a file's row groups; None where its footer does not tell.

    A footer's least and greatest model may be cut short or rounded up; they bound the models.
    """
    if file.kind != "parquet":
        return None
    column = plan.source.get("model_id")
    try:
        with open_parquet(filesystem, file.path) as opened:
            if column is None:
                name, _ = decoded(plan.constants["model_id"].encode("utf-8", "surrogateescape"))
                ends: list[tuple[object, object]] = [(name, name)] * opened.num_row_groups
            else:
                ends = [
                    column_ends(opened, group, column) for group in range(opened.num_row_groups)
                ]
            rows = [opened.metadata.row_group(g).num_rows for g in range(opened.num_row_groups)]
    except FAULTS:
        return None  # the shard that reads the file tells what is wrong with it
    first = [0, *accumulate(rows)]
    found = []
    for group, (low, high) in enumerate(ends):
        if not rows[group]:
            continue
        if not isinstance(low, str) or not isinstance(high, str) or low > high:
            return None
        found.append(Extent(index, group, first[group], rows[group], low, high))
    return found


def series_rows(reading: Reading, piece: Piece) -> Counter[tuple[str, str]]:
    """Return how many rows a piece has for certain of single series, of those that an audit holds.

    They are those of row groups whose footers name one model, one class, and instants within reach;
    what footers leave open is not counted, and no row is read.
    """
    file, plan = reading.files[piece.file], reading.plans[piece.file]
    found: Counter[tuple[str, str]] = Counter()
    if file.kind != "parquet" or file.path in reading.excluded:
        return found
    try:
        with open_parquet(reading.filesystem, file.path) as opened:
            every = range(opened.num_row_groups)
            for group in every if piece.row_groups is None else piece.row_groups:
                model, class_ = (
                    _only_name(opened, group, plan, name) for name in ("model_id", "class_id")
                )
                if model and class_ and _is_within(opened, group, plan, reading):
                    found[model, class_] += opened.metadata.row_group(group).num_rows
    except (*FAULTS, ColumnError):
        pass  # whoever reads the file tells what is wrong with it
    return found


def _only_name(opened: pq.ParquetFile, group: int, plan: ColumnPlan, name: str) -> str | None:
    """The name that all rows of a row group have, as far as its footer tells."""
    if name in plan.constants:
        return decoded(plan.constants[name].encode("utf-8", "surrogateescape"))[0]
    low, high = column_ends(opened, group, plan.source[name])
    return low if isinstance(low, str) and low == high else None


def _is_within(opened: pq.ParquetFile, group: int, plan: ColumnPlan, reading: Reading) -> bool:
    """Whether all rows of a row group are known at the audit's moment, and none is too old."""

    def ends(name: str) -> list[int | None]:
        column = plan.source[name]
        kind = value_type(opened.schema_arrow.field(column).type)
        told = pa.array(column_ends(opened, group, column), kind)
        instants: list[int | None] = to_microseconds(told, reading.timezone).to_pylist()
        return instants

    low, high = ends("timestamp")
    known = ends(KNOWN)[1] if KNOWN in plan.source else high
    if low is None or high is None or known is None:
        return False
    return low >= reading.since_us and max(high, known) <= min(reading.as_of_us, reading.latest_us)


def column_ends(opened: pq.ParquetFile, group: int, column: str) -> tuple[object, object]:
    """The least and greatest value that a row group's footer names, None where it does not.

    Of some damaged footers pyarrow cannot make an exception: asked for statistics it ends the
    process. Reading a row raises properly, and the types are compared beforehand.
    """
    part, schema = opened.metadata.row_group(group), opened.metadata.schema
    place = next((i for i in range(len(schema)) if schema.column(i).path == column), None)
    if place is None or not part.num_rows:
        return None, None
    rows = opened.iter_batches(1, row_groups=[group], columns=[column], use_threads=False)
    if next(rows, None) is None:
        return None, None
    chunk = part.column(place)
    if chunk.physical_type != schema.column(place).physical_type or chunk.statistics is None:
        return None, None
    return chunk.statistics.min, chunk.statistics.max
