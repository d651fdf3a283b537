"""Calibration errors of one group as other libraries compute them, each called as its users do.

scikit-learn and uncertainty-calibration are development dependencies. netcal and torchmetrics are
not, for both import torch: tests of them skip where they are not installed.
"""

import warnings

import calibration
import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

BINS = 15
BORDERS = np.arange(1, BINS) / BINS
NEEDS = "{0} imports torch, so it is no development dependency: pip install torch {1}"


def reliability_curve(scores, labels):
    """Mean score, mean label and rows of scikit-learn's bins of equal width that hold rows.

    Its bins are closed above, calhard's below: `above_borders` makes the two the same.
    """
    label, score = calibration_curve(labels, scores, n_bins=BINS)
    count = np.bincount(np.searchsorted(BORDERS, scores), minlength=BINS)
    return score, label, count[count > 0]


def sklearn_ece(scores, labels):
    score, label, count = reliability_curve(scores, labels)
    return count @ np.abs(score - label) / len(scores)


def sklearn_brier(scores, labels, weights=None):
    return brier_score_loss(labels, scores, sample_weight=weights, pos_label=1)


def above_borders(scores):
    """Scores on a border of two bins moved up by the smallest step there is."""
    return np.where(np.isin(scores, BORDERS), np.nextafter(scores, 1.0), scores)


def equal_mass_ece(scores, labels, bins):
    return calibration.get_ece_em(scores, labels.astype(int), num_bins=bins)


def equal_mass_debiased_square(scores, labels, bins):
    """Kumar's estimate before its root, of which only the positive part can be taken."""
    rows = list(zip(scores, labels, strict=True))
    edges = calibration.utils.get_equal_bins(scores, num_bins=bins)
    return calibration.utils.unbiased_square_ce(calibration.utils.bin(rows, edges))


def logit_line(scores, labels):
    """Slope, intercept and their standard errors of statsmodels' logistic regression.

    And whether it was sure of them: it warns, or fails, where the classes are separated.
    """
    clipped = np.clip(scores, 1e-6, 1.0 - 1e-6)
    x = np.log(clipped / (1.0 - clipped))
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        fit = sm.Logit(labels, sm.add_constant(x, has_constant="add")).fit(
            disp=0, tol=1e-12, maxiter=100
        )
        found = (*fit.params[::-1], *fit.bse[::-1])
    return found, not complaints


def netcal_ece():
    name = "netcal.metrics"
    measure = pytest.importorskip(
        name, reason=NEEDS.format("netcal", "&& pip install --no-deps netcal tqdm")
    )
    return lambda scores, labels: measure.ECE(BINS).measure(scores, labels)


def torchmetrics_ece():
    name = "torchmetrics.functional.classification"
    module = pytest.importorskip(name, reason=NEEDS.format("torchmetrics", "torchmetrics"))
    torch = pytest.importorskip("torch")

    def ece(scores, labels):
        found = module.binary_calibration_error(
            torch.from_numpy(scores), torch.from_numpy(labels.astype(int)), n_bins=BINS
        )
        return found.item()

    return ece
