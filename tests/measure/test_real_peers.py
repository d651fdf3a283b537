"""Real forecasts measured by month against other libraries: every model, class and month.

The scores are what the libraries find hardest: a third are exactly 0 and a part exactly 1, many are
tied, and some months hold one row.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from calhard.measure.sorting import sort_outcomes
from calhard_kernels.bins import equal_mass, equal_width
from calhard_kernels.brier import brier
from calhard_kernels.calibration import calibration_error, debiased_squared_error
from calhard_kernels.cox import cox
from tests.measure import libraries

FOLDER = os.environ.get("CALHARD_REAL_DATA", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (Path(FOLDER) / "forecasts.parquet").is_file() or not FOLDER,
        reason="CALHARD_REAL_DATA names no folder that holds forecasts.parquet",
    ),
]
MONTHS, SOFT_MONTHS, SEPARATED = 921, 2, 179
LINE = ("alpha", "intercept", "alpha_standard_error", "intercept_standard_error")
CLOSE = {"rel": 1e-9, "abs": 1e-12}


@pytest.fixture(scope="module")
def table():
    return pq.read_table(Path(FOLDER) / "forecasts.parquet")


@pytest.fixture(scope="module")
def groups(table):
    """Scores and labels by (model, class, month)."""
    month = table["timestamp"].to_numpy().astype("datetime64[M]")
    model, class_ = (table[n].to_numpy() for n in ("model_id", "class_id"))
    score, label = (table[n].to_numpy() for n in ("score", "label"))
    rows = {}
    for row, key in enumerate(zip(model, class_, month.tolist(), strict=True)):
        rows.setdefault(key, []).append(row)
    return {key: (score[own], label[own]) for key, own in rows.items()}


@pytest.fixture(scope="module")
def measured(groups):
    keys = list(groups)
    code = np.repeat(np.arange(len(keys)), [len(groups[k][0]) for k in keys])
    s, y = (np.concatenate(c) for c in zip(*groups.values(), strict=True))
    o = sort_outcomes(code, s, y, None, len(keys))
    mass, width = equal_mass(o), equal_width(o)
    c = cox(o)
    columns = {
        "aece": calibration_error(o, mass).value,
        "dece": calibration_error(o, width).value,
        "ece_debiased": debiased_squared_error(mass),
        "brier": brier(o, width).score,
        "alpha": c.slope,
        "intercept": c.intercept,
        "alpha_standard_error": c.slope_standard_error,
        "intercept_standard_error": c.intercept_standard_error,
        "n_bins": mass.asked,
        "total_samples": o.n,
    }
    return {
        k: {n: None if np.isnan(v[i]) else v[i].item() for n, v in columns.items()}
        for i, k in enumerate(keys)
    }


@pytest.fixture(scope="module")
def hard(groups):
    """Months whose labels are all 0 or 1, which is all that the libraries take."""
    found = {k: g for k, g in groups.items() if np.isin(g[1], (0.0, 1.0)).all()}
    assert len(found) == MONTHS - SOFT_MONTHS
    return found


def test_every_month_is_measured(groups, measured):
    assert len(groups) == len(measured) == MONTHS
    assert {k: len(s) for k, (s, _) in groups.items()} == {
        k: m["total_samples"] for k, m in measured.items()
    }


def compared(hard, measured, name, peer):
    """Assert that a column is what a library says of the same rows, in every month."""
    for key, (score, label) in hard.items():
        expected = peer(score, label, measured[key])
        assert measured[key][name] == pytest.approx(expected, **CLOSE), key


def test_dece_is_the_weighted_gap_of_scikit_learns_calibration_curve(hard, measured):
    compared(
        hard,
        measured,
        "dece",
        lambda s, y, _: libraries.sklearn_ece(libraries.above_borders(s), y),
    )


def test_dece_is_the_error_of_netcal(hard, measured):
    ece = libraries.netcal_ece()
    compared(hard, measured, "dece", lambda s, y, _: ece(s, y))


def test_aece_is_the_equal_mass_error_of_uncertainty_calibration(hard, measured):
    compared(
        hard,
        measured,
        "aece",
        lambda s, y, m: libraries.equal_mass_ece(s, y, m["n_bins"]),
    )


def test_the_debiased_square_is_that_of_uncertainty_calibration(hard, measured):
    compared(
        hard,
        measured,
        "ece_debiased",
        lambda s, y, m: libraries.equal_mass_debiased_square(s, y, m["n_bins"]),
    )


def test_the_brier_score_is_that_of_scikit_learn(hard, measured):
    compared(hard, measured, "brier", lambda s, y, _: libraries.sklearn_brier(s, y))


def test_slope_and_intercept_are_the_logistic_regression_of_statsmodels(hard, measured):
    """And missing exactly where it warns or fails: there the classes do not overlap."""
    separated = {key for key in hard if measured[key]["alpha"] is None}
    assert len(separated) == SEPARATED
    for key, (score, label) in hard.items():
        try:
            line, sure = libraries.logit_line(score, label)
        except (np.linalg.LinAlgError, ValueError):
            assert key in separated
            continue
        if key in separated:
            assert not sure, key
        else:
            assert [measured[key][n] for n in LINE] == pytest.approx(line, rel=1e-6, abs=1e-9), key
