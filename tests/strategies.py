"""Hypothesis strategies: panels of series of every kind that breaks naive statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

KINDS = ("normal", "ar1", "far", "constant", "lattice", "spiky", "zeros", "step")


@dataclass(frozen=True)
class DrawnPanel:
    """Values (S, W) and a mask with one run a row, or None."""

    x: np.ndarray
    valid: np.ndarray | None

    def rows(self):
        """The valid values of each row."""
        if self.valid is None:
            return [list(row) for row in self.x]
        return [list(row[mask]) for row, mask in zip(self.x, self.valid, strict=True)]


def one_series(rng, kind, width):
    """A series of ``width`` values of one kind."""
    noise = rng.standard_normal(width)
    if kind == "ar1":
        for t in range(1, width):
            noise[t] += 0.8 * noise[t - 1]
    return {
        "normal": noise,
        "ar1": noise,
        "far": 1e6 + 1e-3 * noise,
        "constant": np.full(width, rng.normal()),
        "lattice": np.round(noise),
        "spiky": np.where(np.abs(noise) > 1.5, 1e3 * noise, noise),
        "zeros": np.where(noise > 1.0, 0.01, 0.0),
        "step": noise + 5.0 * (np.arange(width) > width // 2),
    }[kind]


@st.composite
def panels(draw, min_width=12, max_width=60, max_rows=6, shortest=10, kinds=KINDS):
    """A panel whose rows hold at least ``shortest`` values each."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(1, max_rows))
    width = draw(st.integers(min_width, max_width))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=rows, max_size=rows))
    x = np.stack([one_series(rng, kind, width) for kind in chosen])
    if draw(st.booleans()):
        return DrawnPanel(x, None)
    length = rng.integers(min(shortest, width), width + 1, rows)
    begin = rng.integers(0, width - length + 1)
    slot = np.arange(width)
    valid = (slot >= begin[:, None]) & (slot < (begin + length)[:, None])
    return DrawnPanel(np.where(valid, x, rng.normal()), valid)
