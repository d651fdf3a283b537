"""Predictions to a history, against a literal oracle and by hand."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.errors import ConfigError, InputError
from calhard.history import History
from calhard.measure import period_history
from calhard.measure.tables import history_schema
from calhard.plan import AuditPlan, Measure
from tests.measure.literal import naive_aece, naive_dece

DAY = datetime(2026, 3, 4, tzinfo=UTC)  # a Wednesday
WITHOUT_WHOLE = AuditPlan(measure=Measure(whole_model="none"))
METRICS = ("aece", "dece", "clamp_rate")


def predictions(scores, labels, *, model="m", class_="c", at=DAY):
    size = len(scores)
    stamps = at if isinstance(at, list) else [at] * size
    return pa.table(
        {
            "model_id": pa.array([model] * size, pa.string()),
            "class_id": pa.array([class_] * size, pa.string()),
            "timestamp": pa.array(stamps, pa.timestamp("us", tz="UTC")),
            "score": pa.array(scores, pa.float64()),
            "label": pa.array(labels, pa.float64()),
        }
    )


def only(scores, labels):
    """Return the one row of a history."""
    (row,) = period_history(predictions(scores, labels)).to_pylist()
    return row


def check(row, scores, labels):
    assert row["aece"] == pytest.approx(naive_aece(scores, labels), abs=1e-12)
    assert row["dece"] == pytest.approx(naive_dece(scores, labels), abs=1e-12)
    clamped = [s <= 0.001 or s >= 0.999 for s in scores]
    assert row["clamp_rate"] == pytest.approx(sum(clamped) / len(scores))
    assert row["total_samples"] == len(scores)


SCORE = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.2, 1 / 3, 0.6, 14 / 15, 0.001]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(SCORE, st.sampled_from([0.0, 1.0])), min_size=1, max_size=80))
def test_any_period_agrees_with_the_literal_definition(pairs):
    scores, labels = zip(*pairs, strict=True)
    check(only(scores, labels), scores, labels)


@pytest.mark.parametrize("n", [1, 2, 4, 5, 24, 25, 26, 35, 36, 1_000, 10_000, 10_403])
def test_every_size_agrees_with_the_literal_definition(n):
    rng = np.random.default_rng(n)
    scores = rng.random(n).tolist()
    labels = (rng.random(n) < scores).astype(float).tolist()
    check(only(scores, labels), scores, labels)


def test_heavy_ties_agree_with_the_literal_definition():
    rng = np.random.default_rng(1)
    scores = np.round(rng.beta(0.3, 0.3, 3_000), 2).tolist()
    labels = (rng.random(3_000) < scores).astype(float).tolist()
    check(only(scores, labels), scores, labels)


def test_a_score_of_zero_or_one_that_comes_true_has_no_error():
    assert [only([0.0] * 9, [0.0] * 9)[m] for m in METRICS] == [0.0, 0.0, 1.0]
    assert [only([1.0] * 9, [1.0] * 9)[m] for m in METRICS] == [0.0, 0.0, 1.0]


def test_a_score_of_zero_or_one_that_fails_is_wrong_by_one():
    assert [only([0.0], [1.0])[m] for m in METRICS] == [1.0, 1.0, 1.0]
    assert [only([1.0], [0.0])[m] for m in METRICS] == [1.0, 1.0, 1.0]


def test_one_row_is_one_bin():
    row = only([0.3], [1.0])
    assert row["aece"] == row["dece"] == pytest.approx(0.7)
    assert row["total_samples"] == 1


def test_fewer_rows_than_bins_stand_alone():
    assert only([0.1, 0.4, 0.8], [0.0, 1.0, 1.0])["aece"] == pytest.approx((0.1 + 0.6 + 0.2) / 3)


def test_equal_scores_are_one_bin_however_many_there_are():
    row = only([0.25] * 400, [1.0] * 100 + [0.0] * 300)
    assert row["aece"] == row["dece"] == 0.0


def test_ties_over_a_cut_stay_in_the_bin_of_the_first():
    # n = 10: five bins of two. The run of .5 begins in the first bin and takes the second's place.
    scores, labels = (
        [0.1, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95],
        [0.0, 1, 0, 0] + [1.0] * 6,
    )
    bins = [(0.1 + 3 * 0.5 - 1) / 10, (2 - 1.3) / 10, (2 - 1.65) / 10, (2 - 1.85) / 10]
    assert only(scores, labels)["aece"] == pytest.approx(sum(bins))


def test_a_score_at_an_edge_lies_in_the_bin_above_and_one_in_the_last():
    # 3/15 and just below it are two bins; 14/15 and 1 are one.
    below = np.nextafter(0.2, 0.0)
    assert only([below, 0.2], [0.0, 1.0])["dece"] == pytest.approx((0.2 + 0.8) / 2)
    assert only([14 / 15, 1.0], [1.0, 0.0])["dece"] == pytest.approx((14 / 15 + 1 - 1) / 2)


def test_scores_at_the_calibrators_bounds_are_clamped():
    inside = np.nextafter(0.001, 1), np.nextafter(0.999, 0)
    row = only([0.001, 0.999, *inside], [0.0, 1.0, 0.0, 1.0])
    assert row["clamp_rate"] == 0.5


def test_rows_that_cannot_be_used_are_counted_and_change_nothing():
    good = only([0.2, 0.7], [0.0, 1.0])
    scores = [0.2, 0.7, -0.1, 1.1, float("nan"), float("inf"), None, 0.5, 0.5, 0.5, 2.0]
    labels = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, None, float("nan"), 1.5, None]
    row = only(scores, labels)
    assert {m: row[m] for m in METRICS} == {m: good[m] for m in METRICS}
    assert row["score_range_violations"] == 5  # −.1, 1.1, NaN, inf and the 2 without a label
    assert (row["total_samples"], row["unusable_rows"]) == (2, 9)


def test_a_period_without_a_usable_row_is_not_lost():
    row = only([1.5, None], [1.0, 1.0])
    assert [row[m] for m in METRICS] == [None, None, None]
    assert (row["score_range_violations"], row["total_samples"], row["unusable_rows"]) == (1, 0, 2)


def test_groups_are_apart_and_sorted():
    parts = [
        predictions([0.9] * 5, [1.0] * 5, model=m, class_=c, at=DAY + timedelta(days=d))
        for m in ("b", "a")
        for c in ("y", "x")
        for d in (3, 0)
    ]
    found = period_history(pa.concat_tables(parts), plan=WITHOUT_WHOLE)
    assert found.schema.equals(history_schema())
    keys = [(r["model_id"], r["class_id"], r["timestamp"]) for r in found.to_pylist()]
    expected = [(m, c, DAY + timedelta(days=d)) for m in "ab" for c in "xy" for d in (0, 3)]
    assert keys == expected
    assert found["aece"].to_pylist() == pytest.approx([0.1] * 8)


def test_many_groups_agree_with_each_alone_whatever_the_order_of_rows():
    rng = np.random.default_rng(5)
    n = 5_000
    table = pa.table(
        {
            "model_id": rng.choice(["a", "b"], n),
            "class_id": rng.choice(["x", "y", "z"], n),
            "timestamp": pa.array(1_700_000_000 + rng.integers(0, 5 * 86_400, n)),
            "score": np.round(rng.random(n), 2),
            "label": (rng.random(n) < 0.4).astype(float),
        }
    )
    together = period_history(table, plan=WITHOUT_WHOLE)
    shuffled = period_history(table.take(rng.permutation(n)), plan=WITHOUT_WHOLE)
    assert shuffled.equals(together)
    assert sum(together["total_samples"].to_pylist()) == n
    rows = table.to_pylist()
    for found in together.to_pylist():
        start = found["timestamp"].timestamp()
        chosen = [
            (r["score"], r["label"])
            for r in rows
            if (r["model_id"], r["class_id"]) == (found["model_id"], found["class_id"])
            and start <= r["timestamp"] < start + 86_400
        ]
        check(found, *zip(*chosen, strict=True))


@pytest.mark.parametrize(
    ("period", "start"),
    [
        ("1h", datetime(2026, 3, 4, 13, tzinfo=UTC)),
        ("1d", datetime(2026, 3, 4, tzinfo=UTC)),
        ("7d", datetime(2026, 3, 2, tzinfo=UTC)),
        ("1w", datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
def test_a_row_carries_the_start_of_its_period_and_weeks_begin_on_mondays(period, start):
    at = datetime(2026, 3, 4, 13, 59, 59, tzinfo=UTC)
    found = period_history(predictions([0.5], [1.0], at=at), period)
    assert found["timestamp"].to_pylist() == [start]


def test_a_period_holds_its_start_and_not_its_end():
    at = [DAY, DAY + timedelta(hours=24), DAY - timedelta(microseconds=1)]
    found = period_history(predictions([0.5] * 3, [1.0] * 3, at=at))
    assert found["timestamp"].to_pylist() == [DAY + timedelta(days=d) for d in (-1, 0, 1)]


TYPES = [
    ("model_id", pa.array(["m"]).dictionary_encode()),
    ("model_id", pa.array(["m"], pa.large_string())),
    ("class_id", pa.array([3], pa.int16())),
    ("timestamp", pa.array([date(2026, 3, 4)])),
    ("timestamp", pa.array([int(DAY.timestamp())])),
    ("timestamp", pa.array([DAY.replace(tzinfo=None)], pa.timestamp("s"))),
    ("score", pa.array([1], pa.int8())),
    ("score", pa.array([0.5], pa.float32())),
    ("label", pa.array([True])),
    ("label", pa.array([1], pa.uint8())),
]


@pytest.mark.parametrize(("name", "column"), TYPES, ids=[f"{n}-{c.type}" for n, c in TYPES])
def test_the_types_of_the_contract_are_read(name, column):
    table = predictions([0.5], [1.0])
    place = table.schema.names.index(name)
    (row,) = period_history(table.set_column(place, name, column)).to_pylist()
    assert row["total_samples"] == 1
    assert row["timestamp"] == DAY
    assert row["class_id"] == ("3" if name == "class_id" else "c")


BAD = [
    (
        "model_id",
        pa.array([None], pa.string()),
        "row 1: model_id = null — give every row a model_id",
    ),
    ("model_id", pa.array([0.5]), 'column "model_id" holds double; expected text or integers'),
    (
        "timestamp",
        pa.array([None], pa.timestamp("us")),
        "row 1: timestamp = null — give every row a timestamp",
    ),
    ("timestamp", pa.array(["now"]), 'column "timestamp" holds string; expected timestamps'),
    ("timestamp", pa.array([1_700_000_000_000]), "they look like milliseconds"),
    ("score", pa.array(["0.5"]), 'column "score" holds string; expected numbers; cast it'),
    ("label", pa.array([[1.0]]), 'column "label" holds list<'),
]


@pytest.mark.parametrize(("name", "column", "told"), BAD)
def test_what_cannot_be_read_is_refused_with_its_column_and_remedy(name, column, told):
    table = predictions([0.5], [1.0])
    place = table.schema.names.index(name)
    with pytest.raises(InputError) as e:
        period_history(table.set_column(place, name, column))
    assert told in str(e.value)


def test_a_missing_column_is_named_beside_those_that_are_there():
    table = predictions([0.5], [1.0]).rename_columns(
        ["model_id", "class_id", "timestamp", "p", "label"]
    )
    with pytest.raises(
        InputError, match=r'"score" is missing; found model_id, .*, p, label; rename'
    ):
        period_history(table)


def test_a_period_that_is_no_duration_is_refused():
    with pytest.raises(ConfigError, match="'daily' is no period; write \"1h\""):
        period_history(predictions([0.5], [1.0]), "daily")


def test_no_predictions_are_an_empty_history():
    found = period_history(predictions([], []))
    assert found.num_rows == 0
    assert found.schema.equals(history_schema())


def test_anything_that_arrow_takes_as_a_table_is_measured_alike():
    table = predictions([0.2, 0.7], [0.0, 1.0])
    assert period_history(table.to_pydict()).equals(period_history(table))


def test_a_history_is_told_from_predictions_and_predictions_from_a_history(tmp_path):
    table = predictions([0.2, 0.7], [0.0, 1.0])
    with pytest.raises(InputError, match="it is a history, not predictions; audit it"):
        period_history(period_history(table))
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(InputError, match="these look like predictions: calhard measure"):
        History.open(tmp_path / "log.parquet", AuditPlan())
