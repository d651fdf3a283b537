"""Scores and outcomes of many groups in one set of arrays: what every calibration kernel takes."""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Scores and labels of G groups, N rows in all, sorted by group and within a group by score.

    A kernel reads the rows as they stand. Ties of the score are to be sorted by label, then weight:
    then no result depends on the order in which rows came. Rows are usable ones: finite, within
    their ranges, and of positive weight.

    Attributes
    ----------
    score : Array
        (N,) float64, predicted probabilities in [0, 1], ascending within a group.
    label : Array
        (N,) float64 in [0, 1]: 0 or 1, or anything in between (a soft label is an outcome's share).
    weight : Array or None
        (N,) float64, from 1e−100 to 1e100, so that squares can be summed; None: all 1.
    offsets : Array
        (G + 1,) int64 from 0 to N, ascending; group g is rows ``offsets[g]`` to
        ``offsets[g + 1] - 1``. A group may be empty; its results are NaN.
    """

    score: Array
    label: Array
    weight: Array | None
    offsets: Array

    @property
    def start(self) -> Array:
        """First row of each group, (G,)."""
        return self.offsets[:-1]

    @property
    def stop(self) -> Array:
        """The row after the last of each group, (G,)."""
        return self.offsets[1:]

    @property
    def n(self) -> Array:
        """Number of rows of each group, (G,) int64."""
        return self.offsets[1:] - self.offsets[:-1]
