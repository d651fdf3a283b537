"""Real forecasts measured by month against other libraries: every model, class and month.

The scores are what the libraries find hardest: a third are exactly 0 and a part exactly 1, many are
tied, and some months hold one row.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from calhard.engines import LocalEngine
from calhard.measure.run import measure_history
from calhard.plan import AuditPlan
from tests.measure import libraries
from tests.measure.literal import naive_aece, naive_dece

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
def groups():
    """Scores and labels by (model, class, month), cut without calhard."""
    table = pq.read_table(Path(FOLDER) / "forecasts.parquet")
    month = table["timestamp"].to_numpy().astype("datetime64[M]")
    model, class_, score, label = (
        table[n].to_numpy() for n in ("model_id", "class_id", "score", "label")
    )
    rows = {}
    for row, key in enumerate(zip(model, class_, month.tolist(), strict=True)):
        rows.setdefault(key, []).append(row)
    return {key: (score[own], label[own]) for key, own in rows.items()}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Rows of the history by (model, class, month), as the job measures them."""
    history = tmp_path_factory.mktemp("histories") / "monthly"
    measure_history(
        Path(FOLDER) / "forecasts.parquet",
        history,
        plan=AuditPlan(),
        period="1mo",
        engine=LocalEngine(1),
    )
    rows = [row for part in sorted(history.glob("2*.parquet")) for row in read_rows(part)]
    return {
        (row["model_id"], row["class_id"], row["timestamp"].date()): row
        for row in rows
        if row["class_id"] != "__all__"
    }


def read_rows(part):
    return pq.read_table(part).to_pylist()


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


def test_months_with_soft_labels_agree_with_the_literal_definition(groups, hard, measured):
    soft = groups.keys() - hard.keys()
    assert {0.5} < {y for key in soft for y in groups[key][1].tolist()}
    for key in soft:
        scores, labels = (column.tolist() for column in groups[key])
        assert measured[key]["aece"] == pytest.approx(naive_aece(scores, labels), **CLOSE)
        assert measured[key]["dece"] == pytest.approx(naive_dece(scores, labels), **CLOSE)


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
