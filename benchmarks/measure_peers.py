"""Expected calibration error of many groups, each package in a loop over them, as its users do.

A package that is not installed is absent: its line is there, and neither kept nor missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ece = Callable[[Floats, Floats], float]
Metric = TypeVar("Metric")

BINS = 15


def sklearn_ece() -> Ece:
    """`calibration_curve` drops its bins' rows, so they are counted beside it."""
    from sklearn.calibration import calibration_curve

    borders = np.linspace(0.0, 1.0, BINS + 1)[1:-1]

    def ece(score: Floats, label: Floats) -> float:
        true, predicted = calibration_curve(label, score, n_bins=BINS)
        count = np.bincount(np.searchsorted(borders, score), minlength=BINS)
        return float(count[count > 0] @ np.abs(true - predicted)) / len(score)

    return ece


def netcal_ece() -> Ece:
    """`ECE(15).measure`."""
    from netcal.metrics import ECE

    measure = ECE(BINS).measure
    return lambda score, label: float(measure(score, label))


def torchmetrics_ece() -> Ece:
    """`binary_calibration_error`, on one thread; tensors share the arrays' memory."""
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    torch.set_num_threads(1)

    def ece(score: Floats, label: Floats) -> float:
        target = torch.from_numpy(label).to(torch.int64)
        return float(binary_calibration_error(torch.from_numpy(score), target, n_bins=BINS))

    return ece


def calibration_ece() -> Ece:
    """`get_ece` of uncertainty-calibration."""
    import calibration

    return lambda score, label: float(calibration.get_ece(score, label.astype(int), num_bins=BINS))


def many_metrics(score: Floats, label: Floats) -> tuple[object, ...]:
    """Five numbers of one group of ten thousand rows, from the library that has each of them.

    DECE and Brier score by scikit-learn, AECE by uncertainty-calibration, slope and intercept with
    their errors by statsmodels.
    """
    import calibration
    import statsmodels.api as sm
    from sklearn.metrics import brier_score_loss

    clipped = np.clip(score, 1e-6, 1.0 - 1e-6)
    regressors = sm.add_constant(np.log(clipped / (1.0 - clipped)))
    fit = sm.Logit(label, regressors).fit(disp=0)
    return (
        sklearn_ece()(score, label),
        brier_score_loss(label, score),
        calibration.get_ece_em(score, label.astype(int), num_bins=100),
        fit.params,
        fit.bse,
    )


PEERS: Mapping[str, tuple[Callable[[], Ece], str]] = {
    "scikit-learn": (sklearn_ece, "≥ 5"),
    "netcal": (netcal_ece, "≥ 8"),
    "torchmetrics": (torchmetrics_ece, "≥ 3"),
    "uncertainty-calibration": (calibration_ece, ""),
}
"""By package: its error, and how many times faster calhard has to be."""


def found() -> dict[str, Ece]:
    """Return the error of each package that can be imported, scikit-learn's at least."""
    there = {}
    for name, (make, _) in PEERS.items():
        try:
            there[name] = make()
        except ImportError:
            continue
    return there


def versions() -> dict[str, str]:
    """Return each package's version, or that it is absent."""
    known = {}
    for name in (*PEERS, "torch"):
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = "absent"
    return known


def by_group(
    metric: Callable[[Floats, Floats], Metric], score: Floats, label: Floats, offsets: Ints
) -> list[Metric]:
    """Return the metric of every group, rows in order of groups."""
    pairs = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    return [metric(score[a:b], label[a:b]) for a, b in pairs]
