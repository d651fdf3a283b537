"""Calibration of one group once more, row by row from the definitions; and groups to try it on.

Nothing here but `fleet` uses the kernels. Sums are `math.fsum`; a row is (score, label, weight).
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import strategies as st

from calhard_kernels.outcomes import Outcomes

NAN = float("nan")


# --- groups -------------------------------------------------------------------------------------


def fleet(groups, weighted=None):
    """Return the outcomes of groups of (score, label) or (score, label, weight) rows, sorted."""
    rows = [sorted(tuple(map(float, row)) for row in group) for group in groups]
    flat = [row for group in rows for row in group]
    if weighted is None:
        weighted = any(len(row) == 3 for row in flat)
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    column = [np.array([row[k] for row in flat]) for k in range(2 + weighted)]
    return Outcomes(column[0], column[1], column[2] if weighted else None, offsets)


def groups_of(o):
    """Return the rows of every group, weights of 1 where there are none."""
    weight = np.ones_like(o.score) if o.weight is None else o.weight
    rows = list(zip(o.score.tolist(), o.label.tolist(), weight.tolist(), strict=True))
    return [rows[a:b] for a, b in zip(o.offsets[:-1], o.offsets[1:], strict=True)]


def scores(rng, kind, n):
    """Draw ``n`` scores of a kind that breaks binning."""
    return {
        "smooth": rng.beta(0.5, 1.0, n),
        "fifteenths": rng.integers(0, 16, n) / 15,
        "tenths": rng.integers(0, 11, n) / 10,
        "ends": rng.choice([0.0, 1.0, 0.001, 0.999, 5e-324, 1.0 - 2.0**-53], n),
        "constant": np.full(n, rng.random()),
    }[kind]


def labels(rng, kind, score):
    """Draw a label for every score."""
    return {
        "calibrated": rng.random(len(score)) < score,
        "reversed": rng.random(len(score)) > score,
        "one class": np.full(len(score), rng.integers(0, 2)),
        "soft": rng.random(len(score)),
    }[kind].astype(np.float64)


@st.composite
def fleets(draw, max_groups=5, max_rows=150, hard=False, weighted=None):
    """Outcomes of groups of every size and kind."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = ("calibrated", "reversed", "one class") + (() if hard else ("soft",))
    weighted = draw(st.booleans()) if weighted is None else weighted
    groups = []
    for _ in range(draw(st.integers(1, max_groups))):
        n = draw(st.one_of(st.integers(0, 7), st.integers(0, max_rows)))
        kind = st.sampled_from(("smooth", "fifteenths", "tenths", "ends", "constant"))
        score = scores(rng, draw(kind), n)
        columns = [score, labels(rng, draw(st.sampled_from(kinds)), score)]
        if weighted:
            columns.append(rng.choice([0.5, 1.0, 3.0, 100.0], n))
        groups.append(list(zip(*columns, strict=True)))
    return fleet(groups, weighted)


# --- bins: the place of every row of a sorted group, and how many bins there are ---------------


def equal_mass(rows):
    asked = min(max(math.isqrt(len(rows)), 5), 100)
    place = [b for b, part in enumerate(np.array_split(np.arange(len(rows)), asked)) for _ in part]
    for i in range(1, len(rows)):
        if rows[i][0] == rows[i - 1][0]:
            place[i] = place[i - 1]
    return place, asked


def equal_width(rows, count=15):
    return [max(k for k in range(count) if s >= k / count) for s, _, _ in rows], count


def in_bins(rows, place):
    """The rows of every bin that has any, in order of the bins."""
    return {
        b: [row for row, p in zip(rows, place, strict=True) if p == b] for b in sorted(set(place))
    }


# --- statistics ---------------------------------------------------------------------------------


def total(values):
    return math.fsum(values)


def weight(rows):
    return total(w for _, _, w in rows)


def mean_score(rows):
    return total(w * s for s, _, w in rows) / weight(rows)


def mean_label(rows):
    return total(w * y for _, y, w in rows) / weight(rows)


def gap(rows):
    return total(w * (s - y) for s, y, w in rows)


def ece(rows, place):
    if not rows:
        return NAN
    return total(abs(gap(part)) for part in in_bins(rows, place).values()) / weight(rows)


def ece_error(rows, place):
    if len(rows) < 2:
        return NAN
    value = ece(rows, place)
    squares = []
    for part in in_bins(rows, place).values():
        sign = -1.0 if gap(part) < -1e-12 * weight(part) else 1.0
        squares += [(w * (sign * (s - y) - value)) ** 2 for s, y, w in part]
    return math.sqrt(total(squares)) / weight(rows)


def debiased(rows, place):
    if not rows:
        return NAN
    found = []
    for part in in_bins(rows, place).values():
        n = weight(part) ** 2 / total(w * w for _, _, w in part)
        if n >= 1.5:
            y = mean_label(part)
            squared = (mean_score(part) - y) ** 2 - y * (1 - y) / (n - 1)
            found.append(weight(part) * squared)
    return total(found) / weight(rows)


def merged(rows, place, asked, min_bin=3):
    if not rows:
        return NAN
    sizes = [len(in_bins(rows, place).get(b, ())) for b in range(asked)]
    return sum(size < min_bin for size in sizes) / asked


def clamped(rows, low=0.001, high=0.999):
    return weight([r for r in rows if r[0] <= low or r[0] >= high]) / weight(rows) if rows else NAN


def brier(rows, place):
    """Score, reliability, resolution, uncertainty."""
    if not rows:
        return (NAN,) * 4
    w, y = weight(rows), mean_label(rows)
    parts = in_bins(rows, place).values()
    return (
        total(w * (s - y) ** 2 for s, y, w in rows) / w,
        total(weight(part) * (mean_score(part) - mean_label(part)) ** 2 for part in parts) / w,
        total(weight(part) * (mean_label(part) - y) ** 2 for part in parts) / w,
        y * (1 - y),
    )


# --- results ------------------------------------------------------------------------------------


def leaves(result):
    """The arrays of a result, in order."""
    if is_dataclass(result):
        return [a for f in fields(result) for a in leaves(getattr(result, f.name))]
    if isinstance(result, tuple):
        return [a for part in result for a in leaves(part)]
    return [result]


def moved(o, asarray):
    """The same outcomes in another array library."""
    columns = (o.score, o.label, o.weight, o.offsets)
    return Outcomes(*(None if column is None else asarray(column) for column in columns))


def assert_the_standard_is_enough(function, o, atol=1e-14):
    """The same numbers come from array-api-strict, in its own arrays."""
    ours, theirs = leaves(function(o)), leaves(function(moved(o, strict.asarray)))
    assert ours
    for a, b in zip(ours, theirs, strict=True):
        assert type(b) is type(strict.asarray([0.0]))
        np.testing.assert_allclose(np.asarray(b), a, rtol=1e-12, atol=atol)


def assert_groups_stand_alone(function, o, per_group, asarray=np.asarray):
    """Every group's results are, bit for bit, those that it has without the other groups.

    ``per_group`` takes from ``function``'s result the arrays of shape (G,).
    """
    fleet_wide = [np.asarray(a) for a in leaves(per_group(function(moved(o, asarray))))]
    for g, rows in enumerate(groups_of(o)):
        alone = fleet([rows], weighted=True)
        if o.weight is None:
            alone = fleet([[row[:2] for row in rows]], weighted=False)
        found = leaves(per_group(function(moved(alone, asarray))))
        for a, b in zip(fleet_wide, found, strict=True):
            assert np.asarray(a[g]).tobytes() == np.asarray(b)[0].tobytes()


def cupy_or_skip():
    """Return CuPy; skip the test, visibly, where it or a card is missing."""
    cupy = pytest.importorskip("cupy", reason="needs cupy and an NVIDIA card")
    if not cupy.is_available():
        pytest.skip("needs an NVIDIA card")
    return cupy


def assert_a_card_agrees(function, o):
    """CuPy gives the same numbers within 1e-9, in its own arrays."""
    cupy = cupy_or_skip()
    for a, b in zip(leaves(function(o)), leaves(function(moved(o, cupy.asarray))), strict=True):
        assert isinstance(b, cupy.ndarray)
        np.testing.assert_allclose(b.get(), a, rtol=1e-9, atol=1e-12)
