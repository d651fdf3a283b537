"""Reads some models back from tables of a staged night that are sorted by model."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def read_models(
    files: Iterable[Path], models: Sequence[str], columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Yield the rows of some models, a row group in memory at a time.

    Parameters
    ----------
    files : Parquet files with a column ``model_id``; others' row groups are passed over by their
        statistics
    models : sorted
    columns : ``model_id`` among them
    """
    wanted = pa.array(models, pa.string())
    for path in files:
        with pq.ParquetFile(path) as file:
            for index in range(file.num_row_groups):
                if _may_hold(file.metadata.row_group(index), models):
                    part = file.read_row_group(index, columns=list(columns), use_threads=False)
                    yield part.filter(pc.is_in(part["model_id"], value_set=wanted))


def _may_hold(group: pq.RowGroupMetaData, models: Sequence[str]) -> bool:
    """Whether any of the models can be in a row group; very long names have no statistics."""
    place = next(i for i in range(group.num_columns) if _name(group, i) == "model_id")
    statistics = group.column(place).statistics
    if statistics is None or not statistics.has_min_max:
        return bool(models)
    first = bisect_left(models, statistics.min)
    return first < len(models) and models[first] <= statistics.max


def _name(group: pq.RowGroupMetaData, place: int) -> str:
    return str(group.column(place).path_in_schema)
