"""The rows of class __all__: top label where examples can be told apart, else pooled."""

import pytest

from calhard.measure.grouping import form_groups
from calhard.measure.periods import Period
from calhard.measure.rows import UNLABELLED, USED
from calhard.measure.settings import Settings
from calhard.measure.whole import whole_model
from calhard.plan import AuditPlan, Measure
from tests.measure.made import DAY, HOUR, fresh, rows_of

THREE = {"class_": ["cat", "dog", "eel"] * 2}
SCORES = [0.2, 0.5, 0.3, 0.6, 0.3, 0.1]
LABELS = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]


def whole(rule="auto", period="1d", keys=None, **columns):
    keys = keys or fresh()
    rows = rows_of(keys, **({"model": "m"} | columns))
    settings = Settings(Period.parse(period), AuditPlan(measure=Measure(whole_model=rule)))
    groups = form_groups(rows, keys.pairs, settings.period)
    found = whole_model(rows, groups, keys, settings)
    if found is None:
        return None
    assert {keys.pairs[code][1] for code in found.rows.pair.tolist()} == {"__all__"}
    r = found.rows
    columns = (r.score, r.label, r.state, found.top)
    return sorted(zip(*(c.tolist() for c in columns), strict=True))


def test_instants_tell_examples_apart_and_the_largest_score_stands_for_each():
    found = whole(**THREE, timestamp=[HOUR] * 3 + [2 * HOUR] * 3, score=SCORES, label=LABELS)
    assert found == [(0.5, 1.0, USED, True), (0.6, 0.0, USED, True)]


def test_ids_tell_examples_apart_even_at_midnight():
    found = whole(**THREE, timestamp=0, score=SCORES, label=LABELS, example=[7, 7, 7, 9, 9, 9])
    assert found == [(0.5, 1.0, USED, True), (0.6, 0.0, USED, True)]


def test_ids_that_are_used_again_within_a_period_are_told_apart_by_their_instants():
    found = whole(
        class_=["a", "b"] * 4,
        timestamp=[h * HOUR for h in (1, 1, 2, 2, 30, 30, 31, 31)],
        period="7d",
        score=[0.9, 0.1, 0.2, 0.8, 0.7, 0.3, 0.4, 0.6],
        example=[1, 1, 2, 2, 1, 1, 2, 2],
    )
    assert [score for score, *_ in found] == [0.6, 0.7, 0.8, 0.9]
    assert all(top for *_, top in found)
    logged_one_by_one = whole(
        class_=["a", "b"] * 2,
        timestamp=[HOUR, HOUR + 1, 2 * HOUR, 2 * HOUR + 1],
        score=[0.9, 0.1, 0.2, 0.8],
        example=[1, 1, 2, 2],
    )
    assert [score for score, *_ in logged_one_by_one] == [0.8, 0.9]


def test_of_equal_scores_that_of_the_first_class_by_name_counts():
    found = whole(class_=["b", "a"], timestamp=HOUR, score=[0.5, 0.5], label=[1.0, 0.0])
    assert found == [(0.5, 0.0, USED, True)]


def test_dates_tell_no_examples_apart_so_all_classes_are_pooled():
    found = whole(**THREE, timestamp=0, score=SCORES, label=LABELS)
    assert found == sorted((s, y, USED, False) for s, y in zip(SCORES, LABELS, strict=True))
    one_each = whole(class_=["a", "b"], timestamp=0, score=[0.5, 0.4], label=[1.0, 0.0])
    assert [top for *_, top in one_each] == [False, False]


def test_instants_that_are_shared_are_left_out_and_where_hardly_one_is_not_all_are_pooled():
    stamps = [h * HOUR // 20 for h in range(300) for _ in range(2)]
    stamps[3] = stamps[2] = stamps[0]
    columns = {"class_": ["a", "b"] * 300, "score": [0.9, 0.1] * 300, "label": [1.0, 0.0] * 300}
    few = whole(timestamp=stamps, **columns)
    assert [top for *_, top in few] == [True] * 298
    shared = [t - t % HOUR if i % 600 >= 100 else t for i, t in enumerate(stamps)]
    assert sum(top for *_, top in whole(timestamp=shared, **columns)) > 40
    by_hour = [t // HOUR * HOUR for t in stamps]
    found = whole(timestamp=by_hour, **columns)
    assert len(found) == 600
    assert not any(top for *_, top in found)


def test_an_example_with_a_row_that_is_not_used_is_left_out_but_the_row_is_counted():
    found = whole(
        **THREE,
        timestamp=[HOUR] * 3 + [2 * HOUR] * 3,
        score=SCORES,
        label=LABELS,
        state=[USED, USED, UNLABELLED, USED, USED, USED],
    )
    assert found == [(0.3, 0.0, UNLABELLED, False), (0.6, 0.0, USED, True)]


def test_a_model_with_one_class_has_no_row_as_a_whole():
    assert whole(class_="a", timestamp=[0, HOUR], score=[0.5, 0.4]) is None
    days = whole(class_=["a", "b"], timestamp=[0, DAY], score=[0.5, 0.4])
    assert days is None  # one class on each day


def test_classes_of_another_model_are_not_ones_own():
    found = whole(
        model=["m", "m", "n"], class_=["a", "b", "b"], timestamp=HOUR, score=[0.5, 0.4, 0.9]
    )
    assert [score for score, *_ in found] == [0.5]


@pytest.mark.parametrize(("rule", "rows"), [("none", None), ("pooled", 6), ("top_label", 2)])
def test_the_rule_can_be_set(rule, rows):
    found = whole(rule, **THREE, timestamp=[HOUR] * 3 + [2 * HOUR] * 3, score=SCORES)
    assert (None if found is None else len(found)) == rows


def test_with_periods_of_rows_a_model_of_two_classes_has_a_whole_at_any_time():
    found = whole(
        period="10rows",
        class_=["a", "b"] * 10,
        timestamp=[h // 2 * HOUR for h in range(20)],
        score=[0.9, 0.1] * 10,
    )
    assert found == [(0.9, 0.0, USED, True)] * 10
