"""What the footers of Parquet files tell before any row is read."""

from __future__ import annotations

from itertools import accumulate

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from calhard.history.batches import open_parquet
from calhard.history.columns import ColumnPlan
from calhard.history.files import FAULTS, HistoryFile
from calhard.history.ids import decoded
from calhard.history.shards import Extent


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
