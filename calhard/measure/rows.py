"""Predictions as arrays: whose they are, when they were made, and what may be done with each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calhard.history.ids import Bools, Codes, Floats, Ints

States = NDArray[np.int8]

STATE_COUNT = 9
USED, OUT_OF_RANGE, MISMATCH, UNLABELLED, MISSING, MASKED, BAD_LABEL, WEIGHTLESS, CONFLICTING = (
    range(STATE_COUNT)
)
"""What becomes of a row; every row has one state.

- ``USED``: score and label in [0, 1], a weight above 0, not masked.
- ``OUT_OF_RANGE``: a score was reported that is no probability: not finite or outside [0, 1].
- ``MISMATCH``: the mask and the row contradict each other: true, and score or label is missing;
  false, and both are there.
- ``UNLABELLED``: no label yet, and no mask.
- ``MISSING``: no score, and no mask.
- ``MASKED``: the mask is false, and score or label is missing.
- ``BAD_LABEL``: a label that is not finite or outside [0, 1].
- ``WEIGHTLESS``: a weight of 0.
- ``CONFLICTING``: another row of the same model, class, example and instant says something else.
  No row has it as it is read, see `calhard.measure.duplicates`.
"""
NO_EXAMPLE = -1
"""The example of a row that names none."""


@dataclass(frozen=True, slots=True)
class PredictionRows:
    """Rows with a usable key and timestamp, in any order; R of them, all arrays of shape (R,).

    ``score`` and ``label`` are NaN where null and as reported where they are no probability;
    −0.0 is 0.0.
    """

    pair: Codes
    """int32 codes of (model_id, class_id) in `calhard.history.ids.Keys`."""
    timestamp: Ints
    """int64, microseconds since 1970 UTC."""
    score: Floats
    label: Floats
    weight: Floats | None
    """float64 ≥ 0, finite; None: all 1."""
    state: States
    example: Ints | None
    """int64 ≥ 0, equal for equal ``example_id``, in any file and process; `NO_EXAMPLE` without."""
    tags: Mapping[str, Codes]
    """By tag, int32 codes of its words in `Keys`; −1 where there is none."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.pair)

    def take(self, which: Ints | Bools | slice) -> PredictionRows:
        """Return some of the rows."""
        return PredictionRows(
            self.pair[which],
            self.timestamp[which],
            self.score[which],
            self.label[which],
            None if self.weight is None else self.weight[which],
            self.state[which],
            None if self.example is None else self.example[which],
            {name: codes[which] for name, codes in self.tags.items()},
        )


def concatenate(parts: Sequence[PredictionRows]) -> PredictionRows:
    """Return all rows of some parts, in order; the parts have the same tags, and there is one.

    Where only some parts have weights or examples, the rows of the others weigh 1 and name none.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    return PredictionRows(
        np.concatenate([p.pair for p in parts]),
        np.concatenate([p.timestamp for p in parts]),
        np.concatenate([p.score for p in parts]),
        np.concatenate([p.label for p in parts]),
        _filled([p.weight for p in parts], parts, 1.0),
        np.concatenate([p.state for p in parts]),
        _filled([p.example for p in parts], parts, NO_EXAMPLE),
        {name: np.concatenate([p.tags[name] for p in parts]) for name in first.tags},
    )


def _filled(
    columns: Sequence[Any], parts: Sequence[PredictionRows], default: float
) -> NDArray[Any] | None:
    """Join columns that some parts lack; None where all do."""
    there = [column for column in columns if column is not None]
    if not there:
        return None
    kind = there[0].dtype
    return np.concatenate(
        [
            np.full(len(part), default, kind) if column is None else column
            for column, part in zip(columns, parts, strict=True)
        ]
    )
