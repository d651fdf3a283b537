"""A series' numbers depend on that series alone, bit for bit: not on its panel's other rows."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from calhard_kernels import effective, failure, oscillation, scan, season, slope, special, welch
from calhard_kernels.moments import anchor, moments
from calhard_kernels.order import Sorted, order_statistics, winsorise
from tests.strategies import KINDS, one_series

HEIGHTS = (1, 2, 3, 8, 61)


def level(x, valid):
    cut = x.shape[1] // 3
    masks = (None, None) if valid is None else (valid[:, :cut], valid[:, cut:])
    a, b = moments(x[:, :cut], masks[0]), moments(x[:, cut:], masks[1])
    found = effective.lag1_correlation((a, b))
    calm = effective.shrink(found, effective.Prior(0.2, 0.01))
    return (
        found,
        welch.welch(a, b),
        welch.cohens_d(a, b),
        effective.effective_welch(a, b, calm),
        effective.pooled_welch(a, b, calm),
        effective.reference_welch(a, b.n, b.offset, calm),
    )


def slopes(x, valid):
    time = np.cumsum(np.abs(x) + 1.0, axis=1)  # a clock that is each row's own
    fit = slope.trend(time, x, valid)
    found = effective.lag1_correlation([fit.residuals], effective.LINEAR_TREND)
    ahead = 1.0 + np.floor(fit.n / 5.0)
    law = slope.forecast(fit, found, time[:, -1] + ahead, ahead, ahead + 2.0)
    return fit, slope.slope_test(fit, found), law


def lengths(x, valid):
    return np.full(len(x), x.shape[1]) if valid is None else np.sum(valid, axis=1)


def phases(x, step):
    first = np.floor(np.abs(x[:, :1]) * 1e4).astype(np.int64)
    return (first + step * np.arange(x.shape[1])) % 7


def seasons(x, valid):
    n, phase = lengths(x, valid), phases(x, -1)
    x = x + np.where(x[:, :1] > 0.0, 3.0, 0.0) * (phase == 2)
    found = season.find_season(x, phase, n, 7)
    half = x.shape[1] // 2
    ends = np.minimum(n, half)
    return found, season.remove_season(x, phase, n, x[:, :half], phase[:, :half], ends, 7)


def seasons_with_gaps(x, valid):
    n, phase = lengths(x, valid), phases(x, 1)
    slot = np.arange(x.shape[1])
    gap = np.where(x[:, :1] > 0.0, 0, slot > 20 + np.floor(np.abs(x[:, 1:2]) * 10.0))
    return season.find_season(x, (phase + gap) % 7, n, 7)


def cycles(x, valid):
    phi = np.tanh(x[:, 3]) * 0.9
    peak = oscillation.periodogram_peak(x, phi)
    frequency = 0.05 + 0.4 * np.abs(phi)
    p = oscillation.fisher_g_p(peak.g, peak.ordinates)
    return peak, p, oscillation.cycle_amplitude(x, frequency, valid)


def order(x, valid):
    ordered = Sorted.of(x, valid)
    centre = ordered.median
    mad = ordered.deviation(centre)
    return order_statistics(x, valid), mad, winsorise(x, centre, mad)


def runs(x, valid):
    n = lengths(x, valid)
    lattice = np.round(x)
    return failure.longest_run(lattice, n), failure.closing_run(lattice, n)


def tails(x, valid):
    p = special.student_t_p(x * 5.0, np.abs(x) + 1.0)
    return (
        p,
        special.chi_square_score(p),
        special.p_from_chi_square(np.abs(x)),
    )


KERNELS = {
    "anchor": anchor,
    "moments": moments,
    "order": order,
    "level": level,
    "scan": scan.best_split,
    "slope": slopes,
    "season": seasons,
    "season with gaps": seasons_with_gaps,
    "oscillation": cycles,
    "failure": runs,
    "special": tails,
}


def leaves(result):
    """All arrays of a nested result, one row per series."""
    if is_dataclass(result):
        return [a for f in fields(result) for a in leaves(getattr(result, f.name))]
    if isinstance(result, tuple):
        return [a for part in result for a in leaves(part)]
    return [result] if isinstance(result, np.ndarray) else []


@pytest.fixture(scope="module", params=[37, 64, 140, 201], ids=lambda w: f"{w} slots")
def values(request):
    rng = np.random.default_rng(28)
    width = request.param
    x = np.stack([one_series(rng, KINDS[k % len(KINDS)], width) for k in range(max(HEIGHTS))])
    n = rng.integers(30, width + 1, len(x))
    return x, np.arange(width) < n[:, None]


@pytest.mark.parametrize("masked", [False, True], ids=["dense", "masked"])
@pytest.mark.parametrize("name", KERNELS)
def test_other_rows_and_the_height_do_not_matter(name, masked, values):
    x, mask = values
    kernel = KERNELS[name]

    def rows(chosen):
        part = np.ascontiguousarray(x[chosen])
        return leaves(kernel(part, mask[chosen] if masked else None))

    everything = rows(np.arange(len(x)))
    assert everything
    assert all(len(a) == len(x) for a in everything)
    rng = np.random.default_rng(29)
    for height in HEIGHTS:
        for _ in range(8 if height < 8 else 2):
            chosen = rng.permutation(len(x))[:height]
            for whole, part in zip(everything, rows(chosen), strict=True):
                np.testing.assert_array_equal(part, whole[chosen])


@pytest.mark.parametrize("name", KERNELS)
def test_the_place_in_memory_does_not_matter(name, values):
    x, mask = values
    kernel = KERNELS[name]
    wide = np.full((len(x), x.shape[1] + 3), np.nan)
    wide[:, 1:-2] = x
    views = wide[:, 1:-2], np.asarray(wide[::-1, 1:-2])[::-1]
    for view in views:
        for a, b in zip(leaves(kernel(x, mask)), leaves(kernel(view, mask)), strict=True):
            np.testing.assert_array_equal(a, b)
