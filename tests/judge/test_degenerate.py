"""Series that break formulas: constant, tied, zero-inflated, short, empty, full of holes."""

from dataclasses import replace

import numpy as np
import pytest

from calhard.plan import AuditPlan
from calhard.simulate import healthy_series, plant
from tests.blocks import AS_OF, DAY, HOUR, audit_blocks, audit_values, block, column, kinds

N = 840
RNG = np.random.default_rng(0)


def status(audited):
    return column(audited, "status").tolist()


def test_a_constant_series_is_ok_and_silent():
    audited = audit_blocks([block(np.full((30, N), 0.02))])
    assert status(audited) == ["ok"] * 30
    assert not audited.alarmed.any()
    assert set(column(audited, "p_value")) == {1.0}


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_series_at_a_bound_is_no_flatline(value):
    audited = audit_blocks([block(np.full((3, N), value), metric="clamp_rate")], ("clamp_rate",))
    assert status(audited) == ["ok"] * 3


def test_two_different_constants_are_left_to_the_slo():
    x = np.full((1, N), 0.02)
    x[:, -168:] = 0.05
    audited = audit_blocks([block(x)])
    row = audited.evidence.to_pylist()[0]
    assert row["p_level"] == 1.0
    assert row["week_p"] == 0.0
    assert row["week_value"] - row["baseline_value"] == pytest.approx(0.03)


def test_a_flatline_after_a_living_reference_has_failed():
    x = 0.02 + 0.002 * healthy_series(np.random.default_rng(1), 2, N)
    x[0, -72:] = x[0, -72]
    audited = audit_blocks([block(x)])
    assert status(audited) == ["failed", "ok"]
    assert "72 values" in column(audited, "reason")[0]


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_too_few_samples_are_insufficient(n):
    audited = audit_blocks([block(np.full((2, n), 0.02))])
    assert status(audited) == ["insufficient"] * 2
    assert column(audited, "p_value").tolist() == [None, None]


def test_a_silent_source_is_stale():
    x = 0.02 + 0.002 * healthy_series(np.random.default_rng(2), 1, 600)
    stamps = AS_OF - 5 * HOUR - HOUR * np.arange(599, -1, -1)
    audited = audit_blocks([block(x, timestamps=stamps)])
    assert status(audited) == ["failed"]
    assert "no sample" in column(audited, "reason")[0]


@pytest.mark.parametrize("bad", [np.inf, -0.5, 1.5])
def test_a_value_that_cannot_be_is_a_failure(bad):
    x = 0.02 + 0.002 * healthy_series(np.random.default_rng(3), 2, N)
    x[0, -30] = bad
    audited = audit_blocks([block(x)])
    assert status(audited) == ["failed", "ok"]
    assert kinds(audited) == {"m000000": "MetricFailure"}
    assert column(audited, "n_bad").tolist() == [1, 0]


def test_a_reference_full_of_bad_values_is_indeterminate():
    x = 0.02 + 0.002 * healthy_series(np.random.default_rng(4), 1, N)
    x[0, 10:110] = np.inf
    assert status(audit_blocks([block(x)])) == ["indeterminate"]


def test_missing_values_are_no_failure():
    x = 0.02 + 0.002 * healthy_series(np.random.default_rng(5), 40, N)
    x[RNG.random(x.shape) < 0.2] = np.nan
    x[:, -1] = 0.02
    audited = audit_blocks([block(x)])
    assert status(audited) == ["ok"] * 40
    assert not audited.alarmed.any()


def test_a_count_above_zero_fails_and_violates():
    x = np.zeros((2, N))
    x[0, -10] = 2
    audited = audit_blocks([block(x, metric="mask_mismatch_count")], ("mask_mismatch_count",))
    assert status(audited) == ["failed", "ok"]
    assert column(audited, "week_value").tolist() == [2.0, 0.0]
    assert column(audited, "night_value").tolist() == [2.0, 0.0]


def test_an_old_count_outside_the_analysis_window_is_over():
    x = np.zeros((1, N))
    x[0, 100] = 5
    audited = audit_blocks([block(x, metric="mask_mismatch_count")], ("mask_mismatch_count",))
    assert status(audited) == ["ok"]


def test_tied_values_stay_silent():
    x = np.round(healthy_series(np.random.default_rng(6), 300, N) * 0.5) * 0.01 + 0.2
    assert audit_blocks([block(x)]).alarmed.sum() == 0


def test_zero_inflated_rates_stay_silent_and_a_rise_of_their_share_is_found():
    rng = np.random.default_rng(7)
    x = np.where(rng.random((200, N)) < 0.1, 0.02, 0.0)
    x[:5, -168:] = np.where(rng.random((5, 168)) < 0.4, 0.02, 0.0)
    audited = audit_blocks([block(x, metric="clamp_rate")], ("clamp_rate",))
    assert audited.alarmed[:5].sum() >= 4  # ten slots of a rare event tell little of what is kept
    assert audited.alarmed[5:].sum() == 0


def test_a_tiny_noise_far_from_zero_keeps_its_digits():
    rng = np.random.default_rng(8)
    noise = healthy_series(rng, 300, 200, phi=0.3)
    noise[:5] = plant(noise[:5], "step", 4.0, 133)
    audited = audit_values(noise, 67, metric="alpha", level=1.0, sd=1e-9)
    assert audited.alarmed[:5].all()
    assert audited.alarmed[5:].sum() == 0


def test_nan_never_turns_a_violation_into_health():
    rng = np.random.default_rng(9)
    x = 0.02 + 0.002 * healthy_series(rng, 1, N)
    x[:, -168:] += 0.03
    holes = x.copy()
    holes[:, -160:-80] = np.inf
    for values in (x, holes):
        audited = audit_blocks([block(values)])
        row = audited.candidates.to_pylist()[0]
        assert row["status"] == "failed" or row["week_p"] < 1e-6
        assert row["week_p"] < 1e-6


def test_hourly_and_daily_series_are_separate_families():
    rng = np.random.default_rng(10)
    hourly = block(0.2 + 0.002 * healthy_series(rng, 40, N, phi=0.6))
    daily = block(0.2 + 0.002 * healthy_series(rng, 40, 35), spacing=DAY, first=40)
    audited = audit_blocks([hourly, daily])
    assert column(audited, "cadence").tolist() == ["hourly"] * 40 + ["daily"] * 40
    phi = column(audited, "phi").astype(float)
    assert phi[:40].mean() > 0.5
    assert abs(phi[40:].mean()) < 0.25
    assert audited.alarmed.sum() == 0


def test_a_row_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(11)
    x = 0.2 + 0.002 * healthy_series(rng, 60, N, phi=0.3)
    x[rng.random(x.shape) < 0.01] = np.nan
    plan = AuditPlan()
    together = audit_blocks([block(x)], plan=plan).evidence
    apart = audit_blocks([block(x[i : i + 7], first=i) for i in range(0, 60, 7)], plan=plan)
    assert together.equals(apart.evidence)


def test_a_daily_source_that_is_stuck_for_most_of_its_windows_has_failed():
    x = 0.02 + 0.002 * healthy_series(np.random.default_rng(12), 3, 35)
    x[0, -24:] = x[0, -24]
    x[1, -23:] = x[1, -23]
    audited = audit_blocks([block(x, spacing=DAY)])
    assert status(audited) == ["failed", "ok", "ok"]
    assert "24 values" in column(audited, "reason")[0]


def test_an_hourly_source_that_is_stuck_for_longer_than_the_analysis_window_has_failed():
    x = 0.02 + 0.002 * healthy_series(np.random.default_rng(13), 1, N)
    x[0, -200:] = x[0, -200]
    assert "200 values" in column(audit_blocks([block(x)]), "reason")[0]


def test_a_series_too_short_to_judge_says_what_it_could_have_shown():
    x = 0.02 + 0.002 * healthy_series(np.random.default_rng(14), 2, 9)
    x[1, :3] = np.nan
    audited = audit_values(x, 3, level=0.0, sd=1.0)
    assert status(audited) == ["insufficient"] * 2
    six, three = column(audited, "smallest_detectable")
    assert 0.002 < six < 0.05
    assert three > six


def test_labels_that_vanish_in_the_last_night_alone_explain_its_drift_alone():
    rng = np.random.default_rng(15)
    x = 0.030 + 0.0002 * healthy_series(rng, 2, N)
    x[:, -24:] += 0.020
    few = np.full(N, 2_000.0)
    few[-24:] = 200.0
    many = np.full(N, 2_000.0)
    told = [
        audit_blocks([block(x[i : i + 1], samples=labels)]).evidence.to_pylist()[0]
        for i, labels in enumerate((few, many))
    ]
    assert told[0]["night_p"] == 1.0
    assert told[1]["night_p"] < 1e-6


def test_two_constants_that_rounding_has_touched_are_left_to_the_slo():
    x = np.full((2, N), 0.1 + 0.2)
    x[:, -168:] = 0.7
    x[:, ::2] += 1e-17
    x[1, :100] = np.nextafter(0.3, 1.0)
    row = audit_blocks([block(x, metric="alpha")], ("alpha",)).evidence.to_pylist()[1]
    assert (row["p_level"] > 0.99, row["p_scan"]) == (True, 1.0)
    assert row["week_p"] < 1e-9


def test_values_whose_squares_are_no_numbers_are_failures():
    x = 1.0 + 0.01 * healthy_series(np.random.default_rng(16), 1, N)
    x[0, -5:] = 1e160
    assert status(audit_blocks([block(x, metric="alpha")], ("alpha",))) == ["failed"]


def test_a_rate_that_hardly_ever_moved_and_now_scatters_is_found():
    rng = np.random.default_rng(18)
    x = np.full((3, N), 0.02)
    x[1, rng.random(N) < 0.3] += 0.001
    x[:2, -168:] = rng.uniform(0.0, 0.04, (2, 168))
    audited = audit_blocks([block(x, metric="clamp_rate")], ("clamp_rate",))
    assert audited.alarmed.tolist() == [True, True, False]


def test_a_daily_step_of_three_days_is_a_jump_of_its_own_size():
    x = healthy_series(np.random.default_rng(19), 60, 35, phi=0.3)
    x[:, -3:] += 50.0
    found = audit_values(x, 7, spacing=DAY)
    assert set(kinds(found).values()) == {"SuddenJump"}
    change = column(found, "change").astype(float)
    assert np.all(np.abs(change - 0.1) < 0.01)  # 50 sd of .002


def test_indeterminate_is_never_violated():
    x = np.zeros((1, N))
    x[0, -10] = 2
    made = block(x, metric="mask_mismatch_count")
    clash = replace(made, conflicting=np.ones(1, bool))
    audited = audit_blocks([clash], ("mask_mismatch_count",))
    assert status(audited) == ["indeterminate"]
    assert audited.candidates.num_rows == 0


def test_a_confirmed_jump_has_no_forecast_by_a_straight_line():
    x = healthy_series(np.random.default_rng(20), 2, N)
    x[0, -100:] += 6.0
    predicted = column(audit_values(x, 168), "predicted_value")
    assert predicted[0] is None
    assert predicted[1] is not None
