"""Sources with gaps: seasons, sources that fell silent, windows counted in samples."""

import numpy as np
import pytest

from tests.blocks import AS_OF, DAY, HOUR, audit_blocks, block

RNG = np.random.default_rng(3)


def audited(stamps):
    """Audit one series with a sample at each of ``stamps`` and return its evidence."""
    values = 0.02 + 0.001 * RNG.standard_normal((1, len(stamps)))
    found = audit_blocks([block(values, timestamps=AS_OF + np.asarray(stamps))])
    return found.evidence.to_pylist()[0]


def every(spacing, count, last=0):
    return last - spacing * np.arange(count - 1, -1, -1)


@pytest.mark.parametrize("days", [4, 10, 30, 40, 400, 1_000])
@pytest.mark.parametrize("spacing", [HOUR, DAY])
def test_a_source_that_fell_silent_has_failed_however_long_ago(spacing, days):
    row = audited(every(spacing, 240, last=-days * DAY))
    assert row["status"] == "failed"
    assert row["reason"] == f"no sample for {days * 24} h; one is due every {spacing // HOUR} h"


@pytest.mark.parametrize(("weeks", "judged"), [(4, True), (30, False), (100, False)])
def test_the_last_samples_of_a_weekly_source_are_no_analysis_for_ever(weeks, judged):
    row = audited(every(7 * DAY, 50, last=-weeks * 7 * DAY))
    assert row["status"] == "failed"
    assert (row["n_reference"], row["n_analysis"]) == (28, 7 if judged else 0)
    assert (row["week_value"] is not None) == judged


def test_too_few_samples_before_the_silence_are_insufficient():
    row = audited(every(DAY, 9, last=-40 * DAY))
    assert (row["status"], row["n_reference"], row["n_analysis"]) == ("insufficient", 9, 0)


def test_a_new_season_is_not_judged_by_the_end_of_the_last_one():
    seasons = np.concatenate([every(7 * DAY, 30, last=-160 * DAY), every(7 * DAY, 2)])
    row = audited(seasons)
    assert (row["status"], row["n_reference"], row["n_analysis"]) == ("insufficient", 28, 2)


def test_a_new_season_is_compared_with_the_last_one_once_it_has_three_samples():
    seasons = np.concatenate([every(7 * DAY, 30, last=-160 * DAY), every(7 * DAY, 3)])
    row = audited(seasons)
    assert (row["status"], row["n_reference"], row["n_analysis"]) == ("ok", 28, 3)


@pytest.mark.parametrize("spacing", [7 * DAY, 30 * DAY])
def test_a_steady_sparse_source_has_28_and_7_samples(spacing):
    row = audited(every(spacing, 36))
    assert (row["status"], row["n_reference"], row["n_analysis"]) == ("ok", 28, 7)


def test_a_sparse_source_that_misses_every_other_week_keeps_its_windows():
    stamps = every(7 * DAY, 80)
    kept = np.sort(np.concatenate([stamps[::2], stamps[1::6]]))
    row = audited(kept[-36:])
    assert row["status"] == "ok"
    assert row["n_analysis"] == 7
