"""Logistic regression of an outcome on one variable, for many groups at once.

Source: Cox 1958; Newton's method, which is iteratively reweighted least squares: McCullagh &
Nelder 1989, 2.5.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

from calhard_kernels._array import Array, namespace
from calhard_kernels.ragged import offsets_of, segment_sum, spread

MOST_PASSES = 100
"""Passes over the rows, halvings included. Calibrated groups take 4 to 6."""

TOLERANCE = 1e-10
"""A search ends with a step that moves η by at most this (root mean square over the rows, weighted
by their information): what is left to go is of the order of its square."""

SLACK = 1e-12
"""Share of the log-likelihood that rounding may take without a step being halved."""

SMALLEST_PART, LARGEST_PART = 1e-9, 0.5
"""Bounds of the part to which a step that lowers the likelihood is cut."""

LARGEST_ETA = 80.0
"""|η| counts as no more where p is computed: rows beyond say nothing, and a step that only they ask
for, and that goes much too far, is not too far to come back from."""

FLATTEST = 1e-14
"""Least share of Σ h x² that the scatter of x is taken for: a step stays finite."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of G groups, one group after the other.

    ``x``, ``y`` (N,) float64, y in [0, 1]; ``weight`` (N,) float64 > 0, or None: all 1;
    ``offsets`` (G + 1,) int64.
    """

    x: Array
    y: Array
    weight: Array | None
    offsets: Array

    def of(self, groups: Array) -> Rows:
        """Return the rows of those ``groups`` that are true, (G,) bool."""
        rows = spread(groups, self.offsets)
        n = self.offsets[1:] - self.offsets[:-1]
        weight = None if self.weight is None else self.weight[rows]
        return Rows(self.x[rows], self.y[rows], weight, offsets_of(n[groups]))

    def total(self, values: Array) -> Array:
        """Return Σ values of each group, (G,)."""
        return segment_sum(values, self.offsets[:-1], self.offsets[1:])

    def weighted(self, values: Array) -> Array:
        """Return w·values, (N,)."""
        return values if self.weight is None else self.weight * values


@dataclass(frozen=True, slots=True)
class Line:
    """η = intercept + slope·x of each group, and Fisher's information of it; arrays (G,).

    With h = w p (1 − p): ``information`` Σ h, ``centre`` Σ h x / Σ h, ``scatter``
    Σ h (x − centre)². The slope's variance is 1/scatter; that of η at x is
    1/information + (x − centre)²/scatter.
    """

    intercept: Array
    slope: Array
    information: Array
    centre: Array
    scatter: Array


def fit_line(rows: Rows, intercept: Array, slope: Array) -> Line:
    """Return the line of greatest likelihood, Σ w (y log p + (1 − y) log(1 − p)), of each group.

    p = 1/(1 + exp(−η)). Newton's steps from the line given; a step that lowers the likelihood is
    cut to where the tangents at its ends meet, but at least halved. One pass over the rows a step;
    groups that have arrived leave.

    Parameters
    ----------
    rows : Rows
        Groups whose likelihood has a maximum: x varies, and no x separates low from high y. x is
        best centred where labels mix: then steep lines lose no digits.
    intercept, slope : float64, shape (G,)
        A line to start with.

    Returns
    -------
    Line
        NaN where `MOST_PASSES` did not suffice. A group's line depends on its own rows alone, bit
        for bit.
    """
    xp = namespace(rows.x)
    group = xp.arange(rows.offsets.shape[0] - 1, dtype=xp.int64)
    nothing = 0.0 * slope
    search = _Search(intercept, slope, nothing - float("inf"), nothing, nothing, nothing)
    left, lines = [], []
    for _ in range(MOST_PASSES):
        if not group.shape[0]:
            break
        search, line, arrived = _advance(search, _pass(rows, *search.line_to_try()))
        if bool(xp.any(arrived)):
            left.append(group[arrived])
            lines.append(_chosen(line, arrived))
            moving = ~arrived
            group, rows, search = group[moving], rows.of(moving), _chosen(search, moving)
    nowhere = xp.full(group.shape, float("nan"), dtype=xp.float64)
    return _in_order([*left, group], [*lines, Line(*[nowhere] * len(fields(Line)))])


@dataclass(frozen=True, slots=True)
class _Search:
    """The likeliest line so far, its log-likelihood, and the step to try from it; arrays (G,).

    ``rise`` is the likelihood's slope along the step, at its beginning.
    """

    intercept: Array
    slope: Array
    likelihood: Array
    intercept_step: Array
    slope_step: Array
    rise: Array

    def line_to_try(self) -> tuple[Array, Array]:
        """Return intercept and slope at the end of the step."""
        return self.intercept + self.intercept_step, self.slope + self.slope_step


@dataclass(frozen=True, slots=True)
class _Pass:
    """Log-likelihood at a line, its gradient and information; arrays (G,).

    ``pull`` Σ w (y − p), ``turn`` Σ w (y − p) x; ``h0``, ``h1``, ``h2`` Σ h, Σ h x, Σ h x².
    """

    likelihood: Array
    pull: Array
    turn: Array
    h0: Array
    h1: Array
    h2: Array


def _pass(rows: Rows, intercept: Array, slope: Array) -> _Pass:
    """Sum likelihood, gradient and information over the rows.

    p and 1 − p keep all their digits at either end, so far rows add no noise to steep lines.
    """
    xp = namespace(rows.x)
    x, y = rows.x, rows.y
    eta = spread(slope, rows.offsets) * x + spread(intercept, rows.offsets)
    odds_against = xp.exp(-xp.clip(eta, -LARGEST_ETA, LARGEST_ETA))
    p = 1.0 / (1.0 + odds_against)
    q = odds_against * p
    residual = rows.weighted(y * q - (1.0 - y) * p)
    h = rows.weighted(p * q)
    hx = h * x
    likelihood = rows.weighted(y * eta - xp.maximum(eta, 0.0) + xp.log1p(-xp.minimum(p, q)))
    columns = (likelihood, residual, residual * x, h, hx, hx * x)
    return _Pass(*(rows.total(column) for column in columns))


def _advance(search: _Search, at: _Pass) -> tuple[_Search, Line, Array]:
    """Newton's next step from the line tried where it was likelier, a part of the last where not.

    Also the line that the step leads to, and where that is as near as one can tell.
    """
    xp = namespace(at.h0)
    centre = at.h1 / at.h0
    scatter = xp.maximum(at.h2 - centre * at.h1, FLATTEST * at.h2)
    turn = at.turn - centre * at.pull
    slope_step = turn / scatter
    intercept_step = at.pull / at.h0 - centre * slope_step
    rise = at.pull * (at.pull / at.h0) + turn * slope_step  # Σ h (change of η)², too
    better = at.likelihood >= search.likelihood + SLACK * search.likelihood
    part = _part(search, at, better)
    tried = search.line_to_try()
    onward = _Search(
        xp.where(better, tried[0], search.intercept),
        xp.where(better, tried[1], search.slope),
        xp.where(better, at.likelihood, search.likelihood),
        xp.where(better, intercept_step, part * search.intercept_step),
        xp.where(better, slope_step, part * search.slope_step),
        xp.where(better, rise, part * search.rise),
    )
    arrived = better & (rise <= TOLERANCE * TOLERANCE * at.h0)
    return onward, Line(*onward.line_to_try(), at.h0, centre, scatter), arrived


def _part(search: _Search, at: _Pass, better: Array) -> Array:
    """Part of a step that went too far, at whose end the tangents of its two ends meet, (G,)."""
    xp = namespace(better)
    fall = at.pull * search.intercept_step + at.turn * search.slope_step
    drop = search.likelihood - at.likelihood
    part = (drop + fall) / xp.where(better, 1.0, fall - search.rise)
    return xp.clip(part, SMALLEST_PART, LARGEST_PART)


Record = TypeVar("Record", _Search, Line)


def _chosen(record: Record, groups: Array) -> Record:
    """Return the entries of the groups that are true, (G,) bool."""
    return type(record)(*(getattr(record, f.name)[groups] for f in fields(record)))


def _in_order(groups: list[Array], lines: list[Line]) -> Line:
    """Join lines that were found in parts, in the order of their groups."""
    xp = namespace(groups[0])
    order = xp.argsort(xp.concat(groups))
    parts = ([getattr(line, f.name) for line in lines] for f in fields(Line))
    return Line(*(xp.take(xp.concat(part), order) for part in parts))
