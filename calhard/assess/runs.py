"""Runs of one value at the end of a series: what tells a source that is stuck."""

from __future__ import annotations

import numpy as np

from calhard.assess.columns import FLAT_SLOTS, Columns
from calhard.assess.sides import Side, mirrored
from calhard_kernels.failure import closing_run, longest_run


def run_columns(reference: Side, analysis: Side) -> Columns:
    """Length of the run of one value that ends the windows, as far as it reaches back.

    Where it is long enough to be a flatline, also the longest run before it (else NaN): infinite
    where the series never had another value.
    """
    rows, last = np.arange(len(analysis.n)), analysis.n - 1
    closing = np.ones(len(rows))
    again = np.flatnonzero(analysis.x[rows, last] == analysis.x[rows, np.maximum(last - 1, 0)])
    closing[again] = closing_run(analysis.x[again], analysis.n[again])
    longest = np.full(len(rows), np.nan)
    likely = np.flatnonzero((closing >= FLAT_SLOTS) | (closing == analysis.n))
    back, size = mirrored(reference.x[likely]), reference.n[likely]
    through = closing[likely] == analysis.n[likely]
    same = back == analysis.x[likely, last[likely], None]
    same &= (np.arange(back.shape[1]) < size[:, None]) & through[:, None]
    reach = np.sum(np.logical_and.accumulate(same, axis=1), axis=1)
    closing[likely] += reach
    back[np.arange(back.shape[1]) < reach[:, None]] = np.nan  # part of the run that ends now
    longest[likely] = np.where(reach == size, np.inf, longest_run(back, size))
    return {"closing_run": closing, "reference_run": longest}
