"""What the footers of Parquet files tell before any row is read."""

from __future__ import annotations

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from calhard.history.columns import ColumnPlan
from calhard.history.files import FAULTS, HistoryFile, open_parquet
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
    try:
        with open_parquet(filesystem, file.path) as opened:
            if "model_id" in plan.constants:
                name, _ = decoded(plan.constants["model_id"].encode("utf-8", "surrogateescape"))
                return _extents(opened.metadata, index, name)
            return _extents(opened.metadata, index, None, plan.source["model_id"])
    except FAULTS:
        return None  # the shard that reads the file tells what is wrong with it


def _extents(
    metadata: pq.FileMetaData, file: int, constant: str | None, column: str = ""
) -> list[Extent] | None:
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    if constant is None and column not in names:
        return None
    row, found = 0, []
    for group in range(metadata.num_row_groups):
        part = metadata.row_group(group)
        ends = (constant, constant)
        if constant is None and part.num_rows:
            statistics = part.column(names.index(column)).statistics
            ends = (None, None) if statistics is None else (statistics.min, statistics.max)
        if part.num_rows:
            low, high = ends
            if not isinstance(low, str) or not isinstance(high, str) or low > high:
                return None
            found.append(Extent(file, group, row, part.num_rows, low, high))
        row += part.num_rows
    return found
