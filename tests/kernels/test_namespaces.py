"""The array decides: the same kernels on array-api-strict, which has the standard and no more."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import array_api_strict as strict
import numpy as np
import pytest

from calhard_kernels import effective, failure, oscillation, scan, slope, special, welch
from calhard_kernels.moments import anchor, moments
from calhard_kernels.order import Sorted, interquartile_range, median, order_statistics, winsorise
from tests.strategies import one_series

WIDTH = 72
KINDS = ("normal", "ar1", "far", "constant", "lattice", "zeros", "step", "normal")


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(30)
    x = np.stack([one_series(rng, kind, WIDTH) for kind in KINDS])
    begin = rng.integers(0, 20, (len(x), 1))
    slot = np.arange(WIDTH)
    valid = (slot >= begin) & (slot < WIDTH - rng.integers(0, 20, (len(x), 1)))
    time = np.cumsum(rng.uniform(0.5, 1.5, x.shape), axis=1)
    return {
        "x": x,
        "valid": valid,
        "time": time,
        "phi": rng.uniform(-0.5, 0.9, len(x)),
        "v": rng.uniform(0.0, 0.05, len(x)),
        "p": np.array([1.0, 0.5, 0.05, 1e-3, 1e-9, 1e-80, 1e-290, 0.0]),
        "count": rng.integers(20, WIDTH, len(x)),
    }


def level(d):
    a, b = moments(d["x"][:, :40]), moments(d["x"][:, 40:])
    calm = effective.shrink(effective.Correlation(d["phi"], d["v"]), effective.Prior(0.2, 0.02))
    return (
        effective.lag1_correlation((a, b)),
        calm,
        welch.welch(a, b),
        welch.cohens_d(a, b),
        effective.effective_welch(a, b, calm),
        effective.pooled_welch(a, b, calm),
        effective.reference_welch(a, b.n, b.offset, calm),
    )


def slopes(d):
    fit = slope.trend(d["time"], d["x"], d["valid"])
    found = effective.Correlation(d["phi"], d["v"])
    ahead = fit.n / 4.0
    return (
        fit,
        fit.r_squared,
        slope.slope_test(fit, found),
        slope.forecast(fit, found, ahead, ahead, ahead),
    )


def cycles(d):
    peak = oscillation.periodogram_peak(d["x"], d["phi"])
    return (
        peak,
        oscillation.fisher_g_p(peak.g, peak.ordinates),
        oscillation.cycle_amplitude(d["x"], 0.05 + 0.4 * d["phi"] ** 2, d["valid"]),
    )


CASES = {
    "anchor": lambda d: (anchor(d["x"]), anchor(d["x"], d["valid"])),
    "moments": lambda d: (moments(d["x"]), moments(d["x"], d["valid"])),
    "order": lambda d: (order_statistics(d["x"]), order_statistics(d["x"], d["valid"])),
    "median": lambda d: (median(d["x"], d["valid"]), interquartile_range(d["x"], d["valid"])),
    "deviation": lambda d: (
        Sorted.of(d["x"]).deviation(d["phi"]),
        Sorted.of(d["x"], d["valid"]).deviation(d["phi"]),
    ),
    "winsorise": lambda d: winsorise(d["x"], d["phi"], d["v"]),
    "level": level,
    "scan": lambda d: (scan.best_split(d["x"]), scan.best_split(d["x"], d["valid"])),
    "last mean": lambda d: scan.last_mean(d["x"], d["count"]),
    "slope": slopes,
    "oscillation": cycles,
    "failure": lambda d: (
        failure.longest_run(d["x"], d["count"]),
        failure.closing_run(d["x"], d["count"]),
    ),
    "special": lambda d: (
        special.student_t_p(d["phi"], d["v"] + 1.0),
        special.student_t_sf(d["phi"], d["v"] + 1.0),
        special.chi_square_score(d["p"]),
        special.p_from_chi_square(d["v"]),
        special.f_p(d["v"], d["p"], d["v"] + 3.0, d["v"] + 9.0),
    ),
}


def leaves(result):
    if is_dataclass(result):
        return [a for f in fields(result) for a in leaves(getattr(result, f.name))]
    if isinstance(result, tuple):
        return [a for part in result for a in leaves(part)]
    return [] if isinstance(result, float) else [result]


@pytest.mark.parametrize("name", CASES)
def test_the_standard_is_enough_and_the_numbers_agree(name, panel):
    theirs = leaves(CASES[name]({key: strict.asarray(value) for key, value in panel.items()}))
    ours = leaves(CASES[name](panel))
    assert ours
    for a, b in zip(ours, theirs, strict=True):
        assert type(b) is type(strict.asarray([0.0]))
        found = np.asarray(b)
        if a.dtype.kind in "bi":
            np.testing.assert_array_equal(found, a)
        else:
            np.testing.assert_allclose(found, a, rtol=1e-12, atol=1e-13)
