"""Rows of predictions for tests, written as people would."""

from datetime import UTC, datetime

import numpy as np

from calhard.history.ids import Keys
from calhard.measure.rows import NO_EXAMPLE, USED, PredictionRows

HOUR, DAY = 3_600_000_000, 86_400_000_000
START = round(datetime(2026, 5, 4, tzinfo=UTC).timestamp()) * 1_000_000  # a Monday


def rows_of(
    keys,
    *,
    model,
    class_,
    timestamp,
    score,
    label=None,
    weight=None,
    state=None,
    example=None,
    tags=None,
):
    """Return rows; what is one value stands for all rows, ``timestamp`` counts from `START`."""
    size = len(score)
    every = lambda value: [value] * size if np.ndim(value) == 0 else value  # noqa: E731
    pair = [keys.pair(m, c) for m, c in zip(every(model), every(class_), strict=True)]
    return PredictionRows(
        np.array(pair, np.int32),
        START + np.array(every(timestamp), np.int64),
        np.array(score, float),
        np.array(every(0.0 if label is None else label), float),
        None if weight is None else np.array(weight, float),
        np.array(every(USED if state is None else state), np.int8),
        None
        if example is None
        else np.array([NO_EXAMPLE if e is None else e for e in example], np.int64),
        {
            name: np.array([-1 if w is None else keys.word(name, w) for w in words], np.int32)
            for name, words in (tags or {}).items()
        },
    )


def fresh():
    """Return keys without names."""
    return Keys()
