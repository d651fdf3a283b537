"""What chance does to calibration errors, by simulation: when the standard error is honest."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calhard_kernels.bins import equal_mass, equal_width
from calhard_kernels.calibration import calibration_error, debiased_squared_error, tau
from calhard_kernels.outcomes import Outcomes

GROUPS = 2000

LAWS = {
    "calibrated": lambda s: s,
    "overconfident everywhere": lambda s: 0.5 * s,
    "wrong in the middle": lambda s: s**2,
}
BINS = pytest.mark.parametrize("bins_of", [equal_mass, equal_width])


def simulated(law, n, seed):
    """``GROUPS`` groups of ``n`` rows: uniform scores, labels of probability ``law(score)``."""
    rng = np.random.default_rng(seed)
    score = np.sort(rng.random((GROUPS, n)), axis=1).ravel()
    label = (rng.random(score.shape) < LAWS[law](score)).astype(np.float64)
    return Outcomes(score, label, None, np.arange(GROUPS + 1) * n)


def error_ratio(law, bins_of, n=500):
    """Mean standard error over the true standard deviation of the estimate (known to 1.6 %)."""
    o = simulated(law, n, seed=47)
    found = calibration_error(o, bins_of(o))
    return np.mean(found.standard_error) / np.std(found.value, ddof=1)


@BINS
@pytest.mark.parametrize("law", ["overconfident everywhere", "wrong in the middle"])
def test_the_standard_error_of_a_miscalibrated_model_is_right_within_a_tenth(law, bins_of):
    assert error_ratio(law, bins_of) == pytest.approx(1.0, abs=0.1)


@BINS
def test_the_standard_error_of_a_calibrated_model_is_too_large_by_two_thirds(bins_of):
    """|gap| of a half-normal law scatters less than gap, by √(1 − 2/π)."""
    ratio = error_ratio("calibrated", bins_of)
    assert ratio == pytest.approx(1.0 / math.sqrt(1.0 - 2.0 / math.pi), rel=0.05)


@BINS
def test_a_plug_in_error_is_biased_and_the_debiased_square_is_not(bins_of):
    o = simulated("calibrated", 200, seed=48)
    bins = bins_of(o)
    plug_in, debiased = calibration_error(o, bins).value, debiased_squared_error(bins)
    uncertain = np.std(debiased) / math.sqrt(GROUPS)
    assert abs(np.mean(debiased)) < 3.0 * uncertain
    assert np.mean(plug_in**2) > 30.0 * uncertain


@BINS
def test_the_debiased_square_of_a_miscalibrated_model_is_its_true_error(bins_of):
    """s − P(y) = s/2, and the mean of s²/4 over [0, 1] is 1/12, less what bins even out."""
    o = simulated("overconfident everywhere", 500, seed=49)
    found = debiased_squared_error(bins_of(o))
    within = 0.25 / 12.0 / 15.0**2  # variance of s/2 in a bin of 1/15, or of 1/22
    assert np.mean(found) == pytest.approx(
        1.0 / 12.0, abs=3.0 * np.std(found) / math.sqrt(GROUPS) + within
    )


def test_tau_is_above_nearly_all_errors_of_calibrated_models():
    o = simulated("calibrated", 500, seed=50)
    bins = equal_mass(o)
    assert np.mean(calibration_error(o, bins).value > tau(o.n, bins.asked)) < 1e-3
