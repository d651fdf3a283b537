"""A block of series as it leaves the history: ragged, sorted, free of duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

MISSING = np.nan
"""No value was reported in this slot (a null)."""

NOT_FINITE = np.inf
"""A value was reported and is NaN or ±inf: a failure, never a missing slot."""


@dataclass(frozen=True, slots=True)
class SeriesBlock:
    """Whole (model, class) groups, sorted by (model_id, class_id), each in time order.

    Group ``g`` owns rows ``offsets[g]:offsets[g + 1]``; its metrics share those rows, so the block
    holds ``len(model_id) * len(values)`` series. No group is ever split over two blocks.

    Attributes
    ----------
    model_id, class_id : tuple of str, length G
    offsets : int64, shape (G + 1,)
    timestamp : int64, shape (N,)
        Microseconds since 1970-01-01 UTC, strictly increasing within a group.
    values : mapping of metric name to float64, shape (N,)
        ``nan`` = null, ``inf`` = reported but not finite. Out-of-range values are left as they are.
    total_samples : float64, shape (N,), or None
        Labels behind each row (weights); ``nan`` where unknown.
    conflicting : bool, shape (G,)
        Duplicate timestamps disagreed: every series of the group is indeterminate.
    tags : mapping of tag name to tuple of str or None, length G
        The latest value of every string tag column (``model_version``, team, region, …).
    deployed_at : int64, shape (G,)
        Timestamp of the last change of ``model_version``; -1 where it never changed.
    """

    model_id: tuple[str, ...]
    class_id: tuple[str, ...]
    offsets: NDArray[np.int64]
    timestamp: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    total_samples: NDArray[np.float64] | None
    conflicting: NDArray[np.bool_]
    tags: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    deployed_at: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        """Return the number of (model, class) groups."""
        return len(self.model_id)

    def reported(self, metric: str) -> SeriesBlock:
        """Return one metric alone and the rows in which it was reported; the groups stay.

        The block itself where no row lacks it.
        """
        known = ~np.isnan(self.values[metric])
        if known.all():
            return self
        return replace(self, values={metric: self.values[metric]}).rows(known)

    def rows(self, chosen: NDArray[np.bool_]) -> SeriesBlock:
        """Return the block of the chosen rows alone, shape (N,); the groups stay."""
        before = np.concatenate(([0], np.cumsum(chosen)))
        weights = self.total_samples
        return replace(
            self,
            offsets=before[self.offsets],
            timestamp=self.timestamp[chosen],
            values={name: values[chosen] for name, values in self.values.items()},
            total_samples=None if weights is None else weights[chosen],
        )

    def select(self, chosen: NDArray[np.bool_]) -> SeriesBlock:
        """Return the block of the chosen groups alone; ``chosen`` has shape (G,)."""
        if chosen.all():
            return self
        sizes, groups = np.diff(self.offsets), np.flatnonzero(chosen).tolist()
        rows = np.repeat(chosen, sizes)
        weights, deployed = self.total_samples, self.deployed_at
        return SeriesBlock(
            tuple(self.model_id[g] for g in groups),
            tuple(self.class_id[g] for g in groups),
            np.concatenate([[0], np.cumsum(sizes[chosen])]).astype(np.int64),
            self.timestamp[rows],
            {name: values[rows] for name, values in self.values.items()},
            None if weights is None else weights[rows],
            self.conflicting[chosen],
            {name: tuple(values[g] for g in groups) for name, values in self.tags.items()},
            deployed[chosen] if len(deployed) else deployed,
        )
