"""Denser series become slots: what a mean would hide stays to be seen."""

from dataclasses import replace

import numpy as np
import pytest

from calhard.assess.dense import aggregate_dense
from calhard.assess.windows import Clock
from calhard.plan import AuditPlan
from calhard.schema import BUILTIN_METRICS, Metric
from tests.blocks import AS_OF, HOUR, audit_blocks, block

MINUTES_5 = HOUR // 12
ROWS = 40 * 24 * 12
CLOCK = Clock.of(AuditPlan(), AS_OF)
RNG = np.random.default_rng(8)
NOISE = 0.02 + 0.001 * RNG.standard_normal(ROWS)


def dense(values, metric="aece"):
    """Return a 5-minute block and the same aggregated to hours, by value."""
    fine = block(np.atleast_2d(values), spacing=MINUTES_5, metric=metric)
    found = aggregate_dense(fine, CLOCK, BUILTIN_METRICS)
    return fine, found.values[metric]


def changed(row, value, base=NOISE):
    values = base.copy()
    values[row] = value
    return values


def audited(values, metric="aece", spacing=MINUTES_5):
    fine = block(np.atleast_2d(values), spacing=spacing, metric=metric)
    return audit_blocks([fine], (metric,)).evidence.to_pylist()[0]


@pytest.mark.parametrize("value", [np.inf, -0.5, 1.5, 1e200])
@pytest.mark.parametrize("minute", [0, 5, 11])
def test_a_slot_with_one_bad_value_is_bad_and_its_neighbours_are_not(value, minute):
    _, found = dense(changed(ROWS - 48 + minute, value))
    assert found[-4] == np.inf
    assert np.isfinite(np.delete(found, len(found) - 4)).all()


def test_values_whose_mean_is_in_range_are_bad_all_the_same():
    row = audited(changed(slice(ROWS - 48, ROWS - 36), np.tile([-0.9, 0.95], 6)))
    assert row["status"] == "failed"
    assert row["reason"] == "1 of the analysis window's values are not finite or outside [0, 1]"


def test_a_missing_value_does_not_make_its_slot_bad():
    _, found = dense(changed(ROWS - 48, np.nan))
    assert found[-4] == pytest.approx(NOISE[ROWS - 47 : ROWS - 36].mean(), rel=1e-12)


def test_a_slot_in_which_nothing_was_reported_is_missing():
    _, found = dense(changed(slice(ROWS - 48, ROWS - 36), np.nan))
    assert np.isnan(found[-4])


def test_events_are_summed_and_none_is_lost():
    events = RNG.poisson(0.01, ROWS).astype(float)
    fine, found = dense(events, "mask_mismatch_count")
    assert len(found) == ROWS // 12
    assert found.sum() == fine.values["mask_mismatch_count"].sum() > 0


@pytest.mark.parametrize("spacing", [MINUTES_5, HOUR])
def test_as_many_events_are_told_whatever_the_spacing(spacing):
    row = audited(changed(-5, 1.0, np.zeros(ROWS)), "mask_mismatch_count", spacing)
    assert row["status"] == "failed"
    assert row["reason"] == "1 in the analysis window where none is allowed"


def test_a_negative_count_spoils_its_slot_and_offsets_no_event():
    values = changed(ROWS - 47, -1.0, changed(ROWS - 48, 1.0, np.zeros(ROWS)))
    _, found = dense(values, "mask_mismatch_count")
    assert found[-4] == np.inf


def test_the_plans_own_range_of_a_metric_holds():
    fine = block(changed(ROWS - 48, 0.5)[None], spacing=MINUTES_5, metric="own")
    narrow = aggregate_dense(fine, CLOCK, {"own": Metric("own", low=0.0, high=0.4)})
    wide = aggregate_dense(fine, CLOCK, {"own": Metric("own")})
    assert (narrow.values["own"][-4], np.isfinite(wide.values["own"][-4])) == (np.inf, True)


def test_a_group_that_is_not_dense_keeps_its_bits_beside_one_that_is():
    hourly = np.array([-3.0, np.nan, np.inf, 0.1])
    fine = block(NOISE[None], spacing=MINUTES_5)
    both = replace(
        fine,
        model_id=("m", "n"),
        class_id=("c", "c"),
        offsets=np.array([0, ROWS, ROWS + 4]),
        timestamp=np.append(fine.timestamp, AS_OF - HOUR * np.arange(3, -1, -1)),
        values={"aece": np.append(NOISE, hourly)},
        conflicting=np.zeros(2, np.bool_),
        deployed_at=np.full(2, -1),
    )
    found = aggregate_dense(both, CLOCK, BUILTIN_METRICS)
    assert found.offsets.tolist() == [0, ROWS // 12, ROWS // 12 + 4]
    assert found.values["aece"][-4:].tobytes() == hourly.tobytes()
