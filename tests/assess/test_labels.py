"""Nulls in total_samples: they excuse nothing, and weigh nothing away."""

import numpy as np
import pytest

from calhard.assess.panel import Panel
from calhard.assess.slo import slo_columns
from calhard.findings import violations
from tests.blocks import HOUR, audit_blocks, block

N, WEEK, NIGHT = 840, 168, 24
RNG = np.random.default_rng(11)


def found(values, samples, metric, spacing=HOUR):
    """Verdict and labels by window of one series."""
    fine = block(values[None], metric=metric, spacing=spacing, samples=samples)
    result = audit_blocks([fine], (metric,))
    table = violations(result.candidates, result.plan, slo_p_threshold=result.verdict.slo_threshold)
    return {r["window"]: (r["verdict"], r["total_samples"]) for r in table.to_pylist()}


def risen(repeat=1):
    """A dece that has risen by .03 since a week, against a bound of .01."""
    values = 0.02 + 0.001 * RNG.standard_normal(N * repeat)
    values[-WEEK * repeat :] += 0.03
    return values


def nulls(share, since, size, level=100.0):
    samples = np.full(size, level)
    late = np.arange(size) >= size - since
    samples[late & (RNG.random(size) < share)] = np.nan
    return samples


def test_nulls_in_most_slots_of_the_week_do_not_excuse_a_rise():
    samples = nulls(0.6, WEEK, N)
    verdicts = found(risen(), samples, "dece")
    assert verdicts["week"] == ("violated", np.nansum(samples[-WEEK:]))
    assert verdicts["night"] == ("violated", np.nansum(samples[-NIGHT:]))


def test_nulls_in_most_rows_of_a_dense_series_do_not_excuse_a_rise():
    samples = nulls(0.6, WEEK * 12, N * 12)
    verdicts = found(risen(12), samples, "dece", HOUR // 12)
    assert {w: v for w, (v, _) in verdicts.items()} == {"week": "violated", "night": "violated"}


def test_a_real_fall_of_the_labels_does_still_explain_a_rise():
    samples = np.full(N, 100.0)
    samples[-WEEK:] = 1.0
    assert {verdict for verdict, _ in found(risen(), samples, "dece").values()} == {"unconfirmed"}


def test_a_night_whose_labels_are_all_null_is_judged():
    values = 0.02 + 0.001 * RNG.standard_normal(N)
    values[-NIGHT:] = 0.5
    samples = np.full(N, 100.0)
    samples[-NIGHT:] = np.nan
    verdicts = found(values, samples, "clamp_rate")
    assert verdicts["night"] == ("violated", None)


def test_a_night_without_labels_has_nothing_to_judge():
    values = 0.02 + 0.001 * RNG.standard_normal(N)
    values[-NIGHT:] = 0.5
    samples = np.full(N, 100.0)
    samples[-NIGHT:] = 0.0
    assert found(values, samples, "clamp_rate") == {}


def columns(weight, valid=None):
    """Columns of one series of 6 reference and 4 analysis slots a day apart."""
    x = np.arange(10.0)[None]
    day = np.arange(-9.0, 1.0)[None]
    return slo_columns(Panel(np.zeros(1, int), x, day, True, weight, valid, 6), 1.0)


def test_a_slot_of_unknown_weight_has_the_usual_one():
    weight = np.array([[10, 20, np.nan, 30, 0, 20, 20, np.nan, 40, 20.0]])
    filled = np.where(np.isnan(weight), 20.0, weight)
    got, want = columns(weight), columns(filled)
    for name in (n for n in want if "mean" in n or "kish" in n):
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)
    assert got["labels_a"] == 80 / 5
    assert got["labels_b"] == 80 / 3
    assert (got["labels_week"], got["labels_night"]) == (80, 20)
    assert np.isnan(got["night_labels_2"])


def test_padding_does_not_count_among_the_usual_weights():
    weight = np.array([[1e6, 1e6, 1e6, 30, np.nan, 30, 30, 30, 30, 30.0]])
    valid = np.arange(10)[None] >= 3
    assert columns(weight, valid)["kish_a"] == pytest.approx(3.0)


@pytest.mark.parametrize("rest", [0.0, np.nan])
def test_slots_weigh_alike_where_no_weight_is_known(rest):
    weight = np.full((1, 10), np.nan)
    weight[0, 0] = rest
    got = columns(weight)
    assert got["kish_b"] == 4
    assert got["kish_a"] == (6 if np.isnan(rest) else 5)
    assert np.isnan(got["labels_week"])
