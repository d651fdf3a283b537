"""A log of predictions for the benchmarks, written as a fleet would: one file a day, in time order.

Models of unequal traffic, classes of unequal base rate, scores that are miscalibrated by model,
some of them rounded and some clamped as calibrators do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_US = 86_400_000_000
FIRST_US = 1_778_198_400_000_000
"""2026-05-08 00:00 UTC."""
DAYS, CLASSES = 30, 5
ROWS_A_DAY = 500
"""Predictions of a model and class a day, on average."""
ROW_GROUP = 131_072
DRAWS = 2**18
"""Pairs drawn once by their traffic; a row takes one of them, which is faster than drawing it."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Models and classes, and how each of them predicts; arrays by pair of model and class."""

    pairs: int
    drawn: NDArray[np.int32]
    base: Floats
    slope: Floats
    shift: Floats
    coarse: NDArray[np.bool_]
    low: Floats

    @classmethod
    def of(cls, rng: np.random.Generator, models: int) -> Fleet:
        """Return a fleet of some models, `CLASSES` classes each."""
        pairs = models * CLASSES
        traffic = np.repeat(rng.lognormal(0.0, 0.7, models), CLASSES) * rng.uniform(0.5, 2.0, pairs)
        return cls(
            pairs=pairs,
            drawn=rng.choice(pairs, DRAWS, p=traffic / traffic.sum()).astype(np.int32),
            base=logit(rng.uniform(0.03, 0.6, pairs)),
            slope=np.repeat(rng.normal(1.0, 0.1, models), CLASSES),
            shift=np.repeat(rng.normal(0.0, 0.1, models), CLASSES),
            coarse=np.repeat(rng.random(models) < 0.2, CLASSES),
            low=np.repeat(np.where(rng.random(models) < 0.3, 0.001, 0.0), CLASSES),
        )

    def outcomes(self, rng: np.random.Generator, pair: NDArray[np.int32]) -> tuple[Floats, Floats]:
        """Return the scores and labels of some rows."""
        truth = self.base[pair] + 1.2 * rng.standard_normal(len(pair))
        label = (rng.random(len(pair)) < expit(truth)).astype(np.float64)
        score = expit(self.slope[pair] * truth + self.shift[pair])
        score = np.where(self.coarse[pair], np.round(score, 2), score)
        return np.clip(score, self.low[pair], 1.0 - self.low[pair]), label


def write_predictions(folder: Path, rows: int, seed: int = 0) -> None:
    """Write about ``rows`` predictions of `DAYS` days, one file a day, rows in order of time.

    The fleet grows with the rows, a group stays as large as it is: the history has
    ``rows / ROWS_A_DAY`` rows. lz4, dictionaries on the ids alone.
    """
    rng = np.random.default_rng(seed)
    fleet = Fleet.of(rng, max(rows // (DAYS * ROWS_A_DAY * CLASSES), 1))
    names = pa.array([f"model-{m:05d}" for m in range(fleet.pairs // CLASSES)])
    classes = pa.array([f"class-{c}" for c in range(CLASSES)])
    for day in range(DAYS):
        count = rows * (day + 1) // DAYS - rows * day // DAYS
        start = FIRST_US + day * DAY_US
        _write(
            folder / f"{np.datetime64(start, 'us').astype('datetime64[D]')}.parquet",
            (_batch(rng, fleet, names, classes, when) for when in _instants(start, count)),
        )


def _instants(start: int, count: int) -> Iterator[Ints]:
    """Evenly spread instants of a day, a row group at a time."""
    for first in range(0, count, ROW_GROUP):
        place = np.arange(first, min(first + ROW_GROUP, count))
        yield start + place * DAY_US // count


def _batch(
    rng: np.random.Generator, fleet: Fleet, names: pa.Array, classes: pa.Array, when: Ints
) -> pa.RecordBatch:
    pair = fleet.drawn[rng.integers(0, DRAWS, len(when))]
    score, label = fleet.outcomes(rng, pair)
    model, class_ = np.divmod(pair, CLASSES)
    return pa.RecordBatch.from_pydict(
        {
            "model_id": pa.DictionaryArray.from_arrays(model, names).cast(pa.string()),
            "class_id": pa.DictionaryArray.from_arrays(class_, classes).cast(pa.string()),
            "timestamp": pa.array(when).cast(pa.timestamp("us", tz="UTC")),
            "score": pa.array(score),
            "label": pa.array(label.astype(np.int8)),
        }
    )


def _write(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    writer: pq.ParquetWriter | None = None
    for batch in batches:
        if writer is None:
            writer = pq.ParquetWriter(
                path, batch.schema, compression="lz4", use_dictionary=["model_id", "class_id"]
            )
        writer.write_batch(batch, row_group_size=ROW_GROUP)
    if writer is not None:
        writer.close()
