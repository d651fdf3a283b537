"""Rows of one example: they count once, or not at all where they contradict each other."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.measure.duplicates import AGREE, DISAGREE, settle
from calhard.measure.in_memory import period_history
from calhard.measure.reported import Reported
from calhard.measure.rows import CONFLICTING
from calhard.measure.rules import row_states
from calhard.measure.told import report_lines
from tests.measure.logs import content, measure, predictions, rows_of, without_labels, write
from tests.measure.made import HOUR, fresh
from tests.measure.made import rows_of as made


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module")
def log():
    """Rows of examples: four rows, two models with two classes, share an id."""
    log = predictions(days=3, rows=20)
    return log.append_column("example_id", pa.array([f"e{i}" for i in range(log.num_rows)]))


def changed(table, **columns):
    """Return a table with some columns replaced."""
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        kind = table.schema.field(name).type
        table = table.set_column(place, name, pa.array(values, kind))
    return table


def test_rows_that_agree_count_once_in_whatever_files_they_are(log, tmp_path):
    measure(write(tmp_path / "one", all=log), tmp_path / "once")
    write(tmp_path / "log", a=log, b=log.slice(0, 100).append_column("x", log["score"][:100]))
    report = measure(tmp_path / "log", tmp_path / "history")
    assert content(tmp_path / "history") == content(tmp_path / "once")
    assert (report.used, report.repeated) == (log.num_rows, 100)
    assert report.to_dict()["rows"]["repeated"] == 100
    told = "\n".join(report_lines(report))
    assert f"repeated   100 rows: {AGREE} — nothing to mend: they agree and count once" in told


def test_labels_that_arrive_as_rows_of_their_own_count_and_the_rows_before_do_not(log, tmp_path):
    write(tmp_path / "log", day=without_labels(log))
    measure(tmp_path / "log", tmp_path / "history")
    write(tmp_path / "log", labels=log.slice(20))
    report = measure(tmp_path / "log", tmp_path / "history")
    assert (report.used, report.unused["unlabelled"]) == (log.num_rows - 20, 20)
    mixed = pa.concat_tables([without_labels(log.slice(0, 20)), log.slice(20)])
    measure(write(tmp_path / "one", all=mixed), tmp_path / "whole")
    assert content(tmp_path / "history") == content(tmp_path / "whole")


@pytest.mark.parametrize("column", ["score", "label", "weight"])
def test_rows_that_contradict_each_other_are_not_used_and_told(log, tmp_path, column):
    log = log.append_column("weight", pa.array(np.ones(log.num_rows)))
    other = log.slice(3, 2)
    values = {"score": [0.111, 0.222], "weight": [2.0, 3.0]}
    values["label"] = 1.0 - other["label"].to_numpy()
    write(tmp_path / "log", a=log, b=changed(other, **{column: values[column]}))
    report = measure(tmp_path / "log", tmp_path / "history")
    assert (report.used, report.unused["conflicting"], report.repeated) == (log.num_rows - 2, 4, 0)
    rows = rows_of(tmp_path / "history")
    unusable = {
        class_: sum(row["unusable_rows"] for key, row in rows.items() if key[1] == class_)
        for class_ in ("x", "y", "__all__")
    }
    assert unusable == {"x": 2, "y": 2, "__all__": 4}
    told = "\n".join(report_lines(report))
    assert f"unused     4 rows: {DISAGREE}; model_id = '" in told
    assert f", {column} = " in told
    assert "keep one: none is used" in told


def test_the_same_id_at_another_instant_is_another_prediction(log, tmp_path):
    later = log["timestamp"].to_numpy() + np.timedelta64(1, "s")
    again = changed(log, score=1.0 - log["score"].to_numpy(), timestamp=later)
    report = measure(write(tmp_path / "log", a=log, b=again), tmp_path / "history", period="1mo")
    assert (report.used, report.repeated) == (2 * log.num_rows, 0)
    assert report.unused["conflicting"] == 0


def test_without_an_id_equal_rows_are_different_examples(log, tmp_path):
    plain = log.drop_columns(["example_id"])
    twice = pa.concat_tables([plain, plain])
    assert measure(write(tmp_path / "log", all=twice), tmp_path / "h").used == 2 * log.num_rows
    empty = changed(twice, region=[None] * twice.num_rows).append_column(
        "example_id", pa.nulls(twice.num_rows, pa.string())
    )
    assert measure(write(tmp_path / "none", all=empty), tmp_path / "n").used == 2 * log.num_rows


def test_an_example_with_a_contradiction_has_no_top_label(log):
    ids = pa.array([f"e{i // 4}" for i in range(log.num_rows)])
    stamps = log["timestamp"].to_numpy()[np.arange(log.num_rows) // 4 * 4]
    log = changed(log, example_id=ids, timestamp=stamps)
    alone = period_history(log).to_pylist()
    clash = pa.concat_tables([log, changed(log.slice(0, 1), score=[0.987])])
    with_clash = period_history(clash).to_pylist()
    first = [
        next(row for row in found if row["class_id"] == "__all__") for found in (alone, with_clash)
    ]
    assert all(row["top_label"] for row in first)
    assert first[1]["total_samples"] == first[0]["total_samples"] - 1
    assert first[1]["unusable_rows"] == first[0]["unusable_rows"] + 2
    assert period_history(pa.concat_tables([log, log])).to_pylist() == alone


NONE = float("nan")
VALUES = st.sampled_from([0.0, 0.5, 1.0, 2.0, NONE])
MADE = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([0, 25 * HOUR]),
        VALUES,
        VALUES,
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([None, None, 1, 2, 3]),
        st.sampled_from(["eu", "us", None]),
    ),
    min_size=1,
    max_size=25,
)


def naive(rows):
    """Settle rows one example at a time; returns (row, state) pairs and the repeated ones."""
    found, repeated, examples = [], 0, {}
    for row in rows:
        model, stamp, *_, example, _, _ = row
        examples.setdefault((model, stamp, example or object()), []).append(row)
    for group in examples.values():
        says = [{r[i] for r in group if r[i] == r[i]} for i in (2, 3, 4)]
        if len(group) > 1 and any(len(values) > 1 for values in says):
            kinds = {tuple(map(str, (r[2], r[3], r[4], r[7]))) for r in group}
            found += [(*kind[:3], str(CONFLICTING)) for kind in kinds]
            repeated += len(group) - len(kinds)
        else:
            best = min(group, key=lambda r: ((r[3] != r[3]) + 2 * (r[2] != r[2]), r[7]))
            found.append(tuple(map(str, (best[2], best[3], best[4], best[7]))))
            repeated += len(group) - 1
    return sorted(found), repeated


@settings(deadline=None)
@given(MADE, st.randoms(use_true_random=False), st.booleans())
def test_rows_are_settled_as_one_by_one_whatever_their_order(drawn, random, weighted):
    model, stamp, score, label, weight, example, region = map(list, zip(*drawn, strict=True))
    weight = weight if weighted else [1.0] * len(drawn)
    columns = [Reported(np.array(v), np.isnan(v)) for v in (score, label)]
    state = row_states(*columns, None, np.array(weight)).tolist()
    rows = list(zip(model, stamp, score, label, weight, example, region, state, strict=True))

    def settled(rows):
        keys = fresh()
        model, stamp, score, label, weight, example, region, state = zip(*rows, strict=True)
        found = settle(
            made(
                keys,
                model=model,
                class_="x",
                timestamp=stamp,
                score=score,
                label=label,
                weight=weight if weighted else None,
                state=state,
                example=example,
                tags={"region": region},
            ),
            keys,
        )
        left, tags = found.rows, keys.words.get("region", [])
        weights = np.ones(len(left)) if left.weight is None else left.weight
        values = zip(
            *(c.tolist() for c in (left.score, left.label, weights, left.state)), strict=True
        )
        told = sorted(tuple(map(str, row)) for row in values)
        regions = sorted(tags[code] if code >= 0 else "" for code in left.tags["region"].tolist())
        return told, regions, found.account

    told, regions, account = settled(rows)
    expected, repeated = naive(rows)
    assert told == expected
    assert account.counts.get(("duplicate", AGREE), 0) == repeated
    clashing = sum(row[3] == str(CONFLICTING) for row in expected)
    assert account.counts.get(("unused", DISAGREE), 0) == clashing
    shuffled = random.sample(rows, len(rows))
    again = settled(shuffled)
    assert again[:2] == (told, regions)
    assert again[2] == account
    doubled = settled(rows + [r for r in rows if r[5]])
    assert doubled[:2] == (told, regions), "rows that are there twice change nothing"
