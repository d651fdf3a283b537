"""Real forecasts, measured and audited: what is said of seasons, gaps and few labels.

What is asserted was seen by looking at the data first: seven sports forecasts, each with a season.
On 2022-10-01 baseball is at the end of its season, college football has begun a week ago,
basketball and hockey have been over since June, and college basketball since April.
"""

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import calhard
from calhard.measure import period_history
from tests.measure.literal import naive_aece, naive_dece

FOLDER = os.environ.get("CALHARD_REAL_DATA", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (Path(FOLDER) / "forecasts.parquet").is_file() or not FOLDER,
        reason="CALHARD_REAL_DATA names no folder that holds forecasts.parquet",
    ),
]
PAIRS, ROWS = 31, 534_556
METRICS = ("aece", "dece", "clamp_rate", "score_range_violations")
OVER = {"march_madness_men", "nba_games", "nhl_games", "nhl_playoffs"}
BASEBALL = {"mlb_games", "mlb_playoffs"}
POOLED = ["total_samples", "mean_score", "mean_label", "brier", "clamp_rate"]
LAST_DAY = datetime(2023, 1, 10, tzinfo=UTC)
FOOTBALL = "college_football_playoff"


@pytest.fixture(scope="module")
def predictions():
    return pq.read_table(Path(FOLDER) / "forecasts.parquet")


@pytest.fixture(scope="module")
def histories(predictions, tmp_path_factory):
    """Classes by themselves, and the metrics that fifteen games a day can carry."""
    found = {
        period: period_history(predictions, period)
        .filter(pc.field("class_id") != "__all__")
        .drop_columns(["alpha", "merged_bin_rate", "mask_mismatch_count"])
        for period in ("1d", "7d")
    }
    folder = tmp_path_factory.mktemp("histories")
    for period, table in found.items():
        pq.write_table(table, folder / f"{period}.parquet")
    return folder, found


@pytest.fixture(scope="module")
def night(histories, tmp_path_factory):
    """Audit a history at a moment; every night is audited once."""
    known = {}

    def audited(period, as_of, **plan):
        key = (period, as_of, *plan.items())
        if key not in known:
            known[key] = calhard.audit(
                histories[0] / f"{period}.parquet",
                calhard.AuditPlan(**plan),
                out=tmp_path_factory.mktemp("nights"),
                as_of=as_of,
                workers=1,
            )
        return known[key]

    return audited


def evidence(report):
    return pq.read_table(report.path / "evidence.parquet").to_pylist()


def coverage(report, unit):
    table = pq.read_table(report.path / "coverage.parquet").to_pylist()
    found = Counter()
    for row in table:
        if row["unit"] == unit:
            found[row["outcome"]] += row["count"]
    return found


def health(report):
    rows = pq.read_table(report.path / "health.parquet").to_pylist()
    return {(r["model_id"], r["class_id"]): r["health"] for r in rows}


@pytest.mark.parametrize("period", ["1d", "7d"])
def test_every_prediction_is_in_one_period_or_counted_as_unusable(histories, period):
    table = histories[1][period]
    used, unusable = (pc.sum(table[n]).as_py() for n in ("total_samples", "unusable_rows"))
    assert used + unusable == ROWS
    assert unusable == 0  # not even a game of 2016 that ended in a tie: ½ is a label
    assert pc.sum(table["score_range_violations"]).as_py() == 0
    keys = set(zip(*(table[n].to_pylist() for n in ("model_id", "class_id")), strict=True))
    assert len(keys) == PAIRS
    for name in ("aece", "dece", "clamp_rate"):
        ends = pc.min_max(table[name]).as_py()
        assert 0 <= ends["min"] <= ends["max"] <= 1


def test_days_agree_with_the_literal_definition(predictions, histories):
    table = histories[1]["1d"]
    for row in np.random.default_rng(1).choice(table.num_rows, 25, replace=False).tolist():
        (found,) = table.slice(row, 1).to_pylist()
        rows = predictions.filter(
            (pc.field("model_id") == found["model_id"])
            & (pc.field("class_id") == found["class_id"])
            & (pc.field("timestamp") == found["timestamp"])
        )
        scores, labels = rows["score"].to_pylist(), rows["label"].to_pylist()
        assert found["total_samples"] == len(scores)
        assert found["aece"] == pytest.approx(naive_aece(scores, labels), abs=1e-12)
        assert found["dece"] == pytest.approx(naive_dece(scores, labels), abs=1e-12)


@pytest.mark.parametrize(
    ("period", "as_of"),
    [("1d", "2022-10-01"), ("1d", "2019-03-20"), ("1d", None), ("7d", "2022-10-03")],
)
def test_every_row_and_series_is_accounted_for(histories, night, period, as_of):
    report = night(period, as_of)
    assert report.exit_code in {0, 1}
    assert sum(coverage(report, "row").values()) == histories[1][period].num_rows
    series = coverage(report, "series")
    assert sum(series.values()) == len(evidence(report)) == len(METRICS) * len(health(report))
    statuses = Counter(r["status"] for r in evidence(report))
    assert series == Counter({"audited" if s == "ok" else s: n for s, n in statuses.items()})
    assert coverage(report, "file") == Counter()
    assert report.summary["coverage"]["share"] == 1.0
    assert report.summary["counts"]["rows_rejected"] == 0


@pytest.mark.parametrize(
    ("period", "as_of"),
    [("1d", "2022-10-01"), ("1d", "2019-03-20"), ("1d", None), ("7d", "2022-10-03")],
)
def test_nothing_is_called_healthy_without_evidence(night, period, as_of):
    report = night(period, as_of)
    rows = {}
    for row in evidence(report):
        rows.setdefault((row["model_id"], row["class_id"]), []).append(row)
    states = health(report)
    assert "HEALTHY" in states.values()
    for key, state in states.items():
        sound = [r for r in rows[key] if r["status"] == "ok"]
        if state == "HEALTHY":
            assert sound, key
        for r in sound:
            assert r["n_reference"] >= 10, key
            assert r["n_analysis"] >= 3, key
            silent = (r["last_timestamp"].timestamp() - _as_of(report)) / -r["spacing_seconds"]
            assert silent <= 3, key


def _as_of(report):
    return datetime.fromisoformat(report.summary["as_of"]).timestamp()


@pytest.mark.parametrize(("period", "as_of"), [("1d", "2022-10-01"), ("7d", "2022-10-03")])
def test_a_season_that_is_over_is_told_as_silence(night, period, as_of):
    report = night(period, as_of)
    by_model = {}
    for row in evidence(report):
        by_model.setdefault(row["model_id"], set()).add((row["status"], row["reason"]))
    over = OVER if period == "1d" else OVER - {"march_madness_men"}  # eight weeks in three years
    for model in over:
        ((status, reason),) = by_model[model]
        assert status == "failed"
        assert reason.startswith("no sample for ")
    assert {status for model in BASEBALL for status, _ in by_model[model]} == {"ok"}


def test_the_first_days_of_a_season_are_not_judged_by_the_last_one(night):
    for period, as_of, days in (("1d", "2022-10-01", 4), ("7d", "2022-10-03", 1)):
        rows = [r for r in evidence(night(period, as_of)) if r["model_id"] == FOOTBALL]
        assert {(r["status"], r["n_analysis"]) for r in rows} == {("insufficient", days)}
        assert {s for (m, _), s in health(night(period, as_of)).items() if m == FOOTBALL} == {
            "INSUFFICIENT"
        }


def test_retired_models_are_neither_audited_nor_missed(night):
    report = night("1d", "2022-10-01", retired_models=tuple(sorted(OVER)))
    assert {m for m, _ in health(report)} == {*BASEBALL, FOOTBALL}
    assert coverage(report, "model")["retired"] == len(OVER)
    assert {r["status"] for r in evidence(report)} == {"ok", "insufficient"}


def test_fifteen_games_a_day_move_the_error_beyond_its_bound_by_chance_and_alarm_nobody(night):
    report = night("1d", "2022-10-01")
    games = [r for r in evidence(report) if r["model_id"] == "mlb_games"]
    dece = [r for r in games if r["metric"] == "dece"]
    assert len(dece) == 2
    assert all(abs(r["week_value"] - r["baseline_value"]) > 0.01 for r in dece)
    assert all(r["week_standard_error"] > 0.02 for r in dece)
    found = pq.read_table(report.path / "violations.parquet").to_pylist()
    verdicts = {r["verdict"] for r in found if r["model_id"] == "mlb_games"}
    assert verdicts == {"unconfirmed"}
    assert health(report)["mlb_games", "team1"] == "HEALTHY"


def test_forecasts_that_are_all_decided_sit_at_the_bounds(night):
    # On 2023-01-10, the day after the final, every rank is known: each score is 0 or 1, and right.
    report = night("1d", None)
    rows = {(r["class_id"], r["metric"]): r for r in evidence(report) if r["model_id"] == FOOTBALL}
    found = pq.read_table(report.path / "violations.parquet").to_pylist()
    violated = {
        (r["class_id"], r["metric"], r["severity"], r["onset"])
        for r in found
        if r["verdict"] == "violated" and r["window"] == "week"
    }
    ranks = {"final_rank1", "final_rank2", "final_rank3", "final_rank4", "madeplayoff"}
    assert violated == {(c, "clamp_rate", "high", None) for c in ranks}
    for c in ranks:
        assert rows[c, "aece"]["week_value"] == rows[c, "dece"]["week_value"] == 0.0
        assert rows[c, "clamp_rate"]["week_value"] == 1.0
    assert report.exit_code == 1


def test_a_whole_model_pools_its_classes(predictions):
    # No example_id: nobody can tell which forecasts of several classes are of one game.
    table = period_history(predictions, "1d")
    assert pc.sum(table["total_samples"]).as_py() == 2 * ROWS
    assert set(table.filter(pc.field("class_id") == "__all__")["top_label"].to_pylist()) == {False}
    whole, parts = {}, {}
    for row in table.select(["model_id", "class_id", "timestamp", *POOLED]).to_pylist():
        key, n = (row["model_id"], row["timestamp"]), row["total_samples"]
        if row["class_id"] == "__all__":
            whole[key] = [n, *(n * row[name] for name in POOLED[1:])]
        else:
            parts.setdefault(key, []).append([n, *(n * row[name] for name in POOLED[1:])])
    assert whole.keys() == parts.keys()
    for key, rows in parts.items():
        assert whole[key] == pytest.approx([sum(c) for c in zip(*rows, strict=True)], rel=1e-9)


def test_forecasts_that_are_all_decided_fill_a_single_bin_and_the_audit_says_so(
    predictions, tmp_path
):
    table = period_history(predictions, "1d").filter(pc.field("model_id") == FOOTBALL)
    pq.write_table(table, tmp_path / "history.parquet")
    plan = calhard.AuditPlan()
    report = calhard.audit(tmp_path / "history.parquet", plan, out=tmp_path / "out", workers=1)
    found = pq.read_table(report.path / "violations.parquet").to_pylist()
    merged = {r["class_id"]: r for r in found if r["metric"] == "merged_bin_rate"}
    assert {"final_rank1", "final_rank2", "final_rank3", "final_rank4"} <= merged.keys()
    for row in merged.values():
        assert (row["verdict"], row["severity"]) == ("violated", "critical")
        assert row["current_value"] > plan.slos.merged_bin_fail_threshold
    (day,) = table.filter(
        (pc.field("class_id") == "final_rank1") & (pc.field("timestamp") == LAST_DAY)
    ).to_pylist()
    assert day["merged_bin_rate"] == pytest.approx(1 - 1 / day["n_bins"])
