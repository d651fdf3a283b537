"""All columns of a measured history, against their definitions, read slowly."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.measure.measured import measure_rows
from calhard.measure.periods import Period
from calhard.measure.rows import (
    BAD_LABEL,
    MASKED,
    MISMATCH,
    MISSING,
    OUT_OF_RANGE,
    UNLABELLED,
    USED,
    WEIGHTLESS,
)
from calhard.measure.settings import Settings
from calhard.measure.tables import BINS, EXTRAS, history_schema
from calhard.plan import AuditPlan, Measure, Override
from tests.measure.literal import naive_aece, naive_dece
from tests.measure.made import DAY, HOUR, fresh, rows_of

ALL = Settings(Period.parse("1d"), AuditPlan(measure=Measure(extras=tuple(EXTRAS))))


def measured(keys=None, by=ALL, **columns):
    keys = keys or fresh()
    defaults = {"model": "m", "class_": "c", "timestamp": 0}
    return measure_rows(rows_of(keys, **(defaults | columns)), keys, by)


def only(**columns):
    (row,) = measured(**columns).history.to_pylist()
    return row


SCORE = st.one_of(st.floats(0, 1).map(abs), st.sampled_from([0.0, 1.0, 0.2, 1 / 3, 0.6, 0.001]))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(SCORE, st.sampled_from([0.0, 1.0])), min_size=1, max_size=80))
def test_any_group_has_the_numbers_of_the_definitions(pairs):
    score, label = (list(column) for column in zip(*pairs, strict=True))
    n = len(pairs)
    row = only(score=score, label=label)
    assert row["aece"] == pytest.approx(naive_aece(score, label), abs=1e-12)
    assert row["dece"] == pytest.approx(naive_dece(score, label), abs=1e-12)
    assert row["total_samples"] == n
    assert row["n_bins"] == min(max(math.isqrt(n), 5), 100)
    assert row["tau"] == pytest.approx(max(0.015, 1.5 * math.sqrt(row["n_bins"] / n)))
    assert row["aece_minus_tau"] == pytest.approx(row["aece"] - row["tau"])
    assert row["brier"] == pytest.approx(np.mean((np.array(score) - label) ** 2), abs=1e-12)
    clamped = [s <= 0.001 or s >= 0.999 for s in score]
    assert row["clamp_rate"] == pytest.approx(np.mean(clamped))
    assert row["mean_score"] == pytest.approx(np.mean(score))
    assert row["mean_label"] == pytest.approx(np.mean(label))


def test_every_state_is_counted_where_it_belongs():
    states = [USED, USED, OUT_OF_RANGE, MISMATCH, UNLABELLED, UNLABELLED, UNLABELLED]
    states += [MISSING, MASKED, BAD_LABEL, WEIGHTLESS]
    row = only(score=[0.5] * len(states), label=[0.0] * len(states), state=states)
    counted = ("score_range_violations", "mask_mismatch_count", "label_range_violations")
    assert [row[name] for name in counted] == [1, 1, 1]
    assert row["total_samples"] == 2
    assert (row["unlabelled_rows"], row["unusable_rows"]) == (3, 9)


def test_a_group_without_a_row_that_can_be_used_has_counts_and_no_metric():
    row = only(score=[0.5, float("nan")], state=[UNLABELLED, OUT_OF_RANGE])
    assert row["score_range_violations"] == 1
    assert row["unusable_rows"] == 2
    assert row["total_samples"] == 0
    numbers = [
        f.name
        for f in history_schema(tuple(EXTRAS))
        if pa.types.is_floating(f.type) and f.name != "c_hat"
    ]
    assert len(numbers) > 20
    assert {name: row[name] for name in (*numbers, "n_bins")} == dict.fromkeys((*numbers, "n_bins"))


def test_columns_and_their_order_are_those_of_the_schema():
    found = measured(score=[0.5], tags={"region": ["north"]})
    assert found.history.schema == history_schema(tuple(EXTRAS), ("region",))
    assert found.bins.schema == BINS
    assert measured(by=Settings(Period.parse("1d"), AuditPlan()), score=[0.5]).history.schema == (
        history_schema()
    )


def test_a_row_becomes_known_when_its_period_ends():
    row = only(score=[0.5], timestamp=[5 * HOUR])
    assert (row["ingested_at"] - row["timestamp"]).days == 1


def test_the_tag_is_that_of_the_latest_row_that_has_one():
    version = ["v1", "v2", None, "v0"]
    found = only(
        score=[0.5] * 4, timestamp=[0, 2 * HOUR, 3 * HOUR, HOUR], tags={"version": version}
    )
    assert found["version"] == "v2"
    found = only(score=[0.5] * 2, timestamp=[0, 0], tags={"version": ["b", "a"]})
    assert found["version"] == "b"
    assert only(score=[0.5], tags={"version": [None]})["version"] is None


def test_c_hat_of_a_class_moves_its_tau():
    plan = AuditPlan(overrides=(Override(**{"class": "rare", "c_hat": 3.0}),))
    found = measured(
        by=Settings(Period.parse("1d"), plan),
        class_=["rare"] * 50 + ["usual"] * 50,
        score=[0.5] * 100,
    )
    rows = {row["class_id"]: row for row in found.history.to_pylist()}
    assert set(rows) == {"__all__", "rare", "usual"}
    assert rows["rare"]["c_hat"] == 3.0
    assert rows["rare"]["tau"] == pytest.approx(2 * rows["usual"]["tau"])


def test_bins_tell_range_rows_means_and_whom_small_ones_join():
    score = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    label = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    bins = measured(score=score, label=label).bins.to_pylist()
    assert [b["bin"] for b in bins] == [0, 1, 2, 3, 4]  # of 3, 2, 2, 2, 2 rows
    assert [b["count"] for b in bins] == [3, 2, 2, 2, 2]
    assert [b["merged_with"] for b in bins] == [None, 2, 3, 4, 3]
    assert [b["clamped"] for b in bins] == [1, 0, 0, 0, 1]
    assert [(b["low"], b["high"]) for b in bins][:2] == [(0.0, 0.2), (0.3, 0.4)]
    assert bins[0]["mean_score"] == pytest.approx(0.1)
    assert bins[1]["mean_label"] == pytest.approx(0.5)


def test_a_lone_small_bin_joins_none_and_ties_leave_numbers_out():
    (lone,) = measured(score=[0.5, 0.5], label=[0.0, 1.0]).bins.to_pylist()
    assert (lone["bin"], lone["count"], lone["merged_with"]) == (0, 2, None)
    row = only(score=[0.5, 0.5], label=[0.0, 1.0])
    assert (row["n_bins"], row["merged_bin_rate"]) == (5, None)
    assert only(score=[0.5] * 15)["merged_bin_rate"] == pytest.approx(0.8)
    tied = measured(score=[0.1] * 20 + [0.9] * 5, label=[0.0] * 25).bins.to_pylist()
    assert [(b["bin"], b["count"]) for b in tied] == [(0, 20), (4, 5)]


def test_periods_of_rows_of_which_none_is_full_give_no_row_but_every_column():
    by = Settings(Period.parse("50rows"), ALL.plan)
    few = measured(by=by, score=[0.5] * 49, tags={"region": ["north"] * 49})
    assert (few.history.num_rows, few.bins.num_rows) == (0, 0)
    assert few.history.schema == history_schema(tuple(EXTRAS), ("region",))
    both = measured(by=by, score=[0.5] * 60, class_=["a", "b"] * 30, timestamp=list(range(60)))
    assert both.history["class_id"].to_pylist() == ["__all__"]


def fleet(size=4_000, seed=3):
    rng = np.random.default_rng(seed)
    keys = fresh()
    score = rng.random(size).round(3)
    rows = rows_of(
        keys,
        model=[f"m{i}" for i in rng.integers(0, 5, size)],
        class_=[f"c{i}" for i in rng.integers(0, 3, size)],
        timestamp=rng.integers(0, 3 * DAY, size),
        score=score,
        label=(rng.random(size) < score).astype(float),
        weight=rng.choice([0.5, 1.0, 3.0], size) if seed % 2 else None,
        state=rng.choice([USED] * 9 + [UNLABELLED, OUT_OF_RANGE], size),
        tags={"region": [f"r{i}" for i in rng.integers(0, 4, size)]},
    )
    return keys, rows


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("period", ["1d", "1mo", "50rows"])
def test_the_order_of_rows_changes_no_bit(seed, period):
    keys, rows = fleet(seed=seed)
    by = Settings(Period.parse(period), ALL.plan)
    expected = measure_rows(rows, keys, by)
    shuffled = np.random.default_rng(9).permutation(len(rows))
    found = measure_rows(rows.take(shuffled), keys, by)
    assert found.history.equals(expected.history)
    assert found.bins.equals(expected.bins)
    assert expected.history.num_rows > 5


def test_a_group_does_not_depend_on_its_neighbours():
    keys, rows = fleet(seed=5)
    everything = measure_rows(rows, keys, ALL)
    for model in ("m0", "m3"):
        alone = np.array([keys.pairs[code][0] == model for code in rows.pair.tolist()])
        found = measure_rows(rows.take(alone), keys, ALL)
        for name in ("history", "bins"):
            table = getattr(everything, name)
            of_model = table.filter(pa.compute.equal(table["model_id"], model))
            assert getattr(found, name).combine_chunks().equals(of_model.combine_chunks())


def test_rows_stand_in_the_order_of_their_keys():
    keys, rows = fleet()
    found = measure_rows(rows, keys, ALL)
    for table, names in ((found.history, 3), (found.bins, 4)):
        key = list(
            zip(*(table[name].to_pylist() for name in table.schema.names[:names]), strict=True)
        )
        assert key == sorted(set(key))
