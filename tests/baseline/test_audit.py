"""Whole audits of files against pinned baselines."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from calhard.plan import AuditPlan
from calhard.simulate import FleetSpec, simulate
from tests.baseline.fleets import HOURS, audit, evidence, group, pins, series, violated

BASELINE = {"aece": 0.012, "dece": 0.010, "alpha": 0.50}
BASELINE |= {"clamp_rate": 0.05, "merged_bin_rate": 0.02}
CURRENT = {"aece": 0.025, "dece": 0.022, "alpha": 0.58}
CURRENT |= {"clamp_rate": 0.12, "merged_bin_rate": 0.25}
SEVERITIES = {
    "aece": "low",
    "dece": "low",
    "alpha": "medium",
    "clamp_rate": "medium",
    "merged_bin_rate": "critical",
    "score_range_violations": "critical",
    "mask_mismatch_count": "high",
}
END = datetime(2026, 6, 1, tzinfo=UTC)
TIMED = {"summary.json", "manifest.json"}


def snapshot(class_id, reference):
    """The original document's week, after four weeks at ``reference``."""
    values = {
        name: series(reference[name], CURRENT[name], noise=2e-4, seed=i)
        for i, name in enumerate(BASELINE)
    }
    events = {"score_range_violations": np.zeros(HOURS), "mask_mismatch_count": np.zeros(HOURS)}
    events["score_range_violations"][-30] = 3
    events["mask_mismatch_count"][-40] = 1
    return group(class_id, values | events)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The week after good weeks ("new"), and after four weeks that were as bad ("old")."""
    history = pa.concat_tables([snapshot("new", BASELINE), snapshot("old", CURRENT)])
    baseline = pins(("m", "new", BASELINE), ("m", "old", BASELINE))
    return {
        "pinned": audit(tmp_path_factory.mktemp("pinned"), history, baseline),
        "free": audit(tmp_path_factory.mktemp("free"), history),
    }


@pytest.mark.parametrize("class_id", ["new", "old"])
def test_the_original_snapshot_has_the_severities_of_the_document(original, class_id):
    found = violated(original["pinned"])
    assert {m: s for (c, m), s in found.items() if c == class_id} == SEVERITIES


def test_the_original_snapshot_is_unhealthy(original):
    health = original["pinned"].table("health").to_pylist()
    assert [r["health"] for r in health] == ["CRITICAL", "CRITICAL"]
    summary = original["pinned"].summary
    assert (summary["verdict"], summary["healthy"], summary["exit_code"]) == ("unhealthy", False, 1)


def test_a_drift_that_has_lasted_five_weeks_is_seen_with_a_pin_alone(original):
    drifts = {"aece", "dece", "alpha"}
    assert {m for c, m in violated(original["free"]) if c == "old"} == set(SEVERITIES) - drifts
    assert {m for c, m in violated(original["free"]) if c == "new"} == set(SEVERITIES)


def test_regressions_are_still_measured_against_the_reference_window(original):
    drifts = {"aece", "dece", "alpha", "clamp_rate", "merged_bin_rate"}
    for night in original.values():
        found = {
            (r["class_id"], r["metric"])
            for r in night.table("regressions").to_pylist()
            if r["metric"] in drifts
        }
        assert found == {("new", metric) for metric in drifts}


def test_evidence_says_what_was_compared_with(original):
    pinned, free = evidence(original["pinned"]), evidence(original["free"])
    for metric, value in BASELINE.items():
        row = pinned["old", metric]
        assert (row["baseline_source"], row["baseline_value"]) == ("pinned", value)
        assert free["old", metric]["baseline_source"] == "reference"
        assert free["old", metric]["baseline_value"] == pytest.approx(CURRENT[metric], abs=1e-4)
    assert pinned["old", "mask_mismatch_count"]["baseline_source"] is None


def test_violations_are_told_with_the_pinned_value(original):
    rows = original["pinned"].table("violations").to_pylist()
    found = {r["metric"]: r for r in rows if r["class_id"] == "old" and r["window"] == "week"}
    assert found["aece"]["baseline_value"] == 0.012
    assert found["aece"]["drift"] == pytest.approx(0.013, abs=1e-4)
    assert found["alpha"]["drift"] == pytest.approx(0.08, abs=1e-4)
    assert "baseline 0.012" in original["pinned"].text("weekly_slo_report.txt")


def test_a_bound_is_within_it_and_just_beyond_is_not(tmp_path):
    cases = {
        "aece at": ("aece", 0.012, 0.022),
        "aece beyond": ("aece", 0.012, 0.023),
        "aece below": ("aece", 0.022, 0.011),
        "dece at": ("dece", 0.010, 0.020),
        "dece beyond": ("dece", 0.010, 0.021),
        "alpha at": ("alpha", 0.50, 0.55),
        "alpha beyond": ("alpha", 0.50, 0.56),
        "clamp at": ("clamp_rate", 0.02, 0.10),
        "clamp beyond": ("clamp_rate", 0.02, 0.11),
        "merged at": ("merged_bin_rate", 0.02, 0.05),
        "merged warns": ("merged_bin_rate", 0.02, 0.07),
        "merged at fail": ("merged_bin_rate", 0.02, 0.20),
        "merged fails": ("merged_bin_rate", 0.02, 0.25),
    }
    history = pa.concat_tables(
        [group(c, {m: series(now, now)}) for c, (m, _, now) in cases.items()],
        promote_options="default",
    )
    baseline = pins(*(("m", c, {m: base}) for c, (m, base, _) in cases.items()))
    expected = {
        ("aece beyond", "aece"): "low",
        ("aece below", "aece"): "low",
        ("dece beyond", "dece"): "low",
        ("alpha beyond", "alpha"): "low",
        ("clamp beyond", "clamp_rate"): "medium",
        ("merged warns", "merged_bin_rate"): "medium",
        ("merged at fail", "merged_bin_rate"): "medium",
        ("merged fails", "merged_bin_rate"): "critical",
    }
    night = audit(tmp_path, history, baseline)
    assert violated(night, "week") == expected
    assert violated(night, "night") == expected
    better = [r for r in night.table("violations").to_pylist() if r["direction"] == "better"]
    assert {r["class_id"] for r in better} == {"aece below"}


def test_what_is_not_pinned_falls_back_to_the_reference(tmp_path):
    classes = ("pinned", "null", "absent")
    history = pa.concat_tables(
        [
            group(c, {"aece": series(0.02, 0.02, noise=1e-4), "dece": series(0.01, 0.01)})
            for c in classes
        ]
    )
    baseline = pins(("m", "pinned", {"aece": 0.005}), ("m", "null", {"aece": None}))
    night = audit(tmp_path, history, baseline)
    sources = {key: r["baseline_source"] for key, r in evidence(night).items()}
    assert sources == {(c, m): "reference" for c in classes for m in ("aece", "dece")} | {
        ("pinned", "aece"): "pinned"
    }
    assert violated(night) == {("pinned", "aece"): "low"}


def test_a_series_too_young_to_judge_has_no_baseline_source(tmp_path):
    short = group("c", {"aece": series(0.05, 0.05)})[-100:]
    night = audit(tmp_path, short, pins(("m", "c", {"aece": 0.01})))
    row = evidence(night)["c", "aece"]
    assert (row["status"], row["baseline_source"]) == ("insufficient", None)
    assert night.table("violations").num_rows == 0


def test_a_pinned_error_can_leave_a_drift_unconfirmed(tmp_path):
    history = pa.concat_tables(
        [group(c, {"aece": series(0.023, 0.023, noise=1e-3)}) for c in ("sure", "unsure")]
    )
    baseline = pins(
        ("m", "sure", {"aece": 0.012}),
        ("m", "unsure", {"aece": 0.012, "aece_standard_error": 0.004}),
    )
    night = audit(tmp_path, history, baseline)
    verdicts = {
        (r["class_id"], r["verdict"])
        for r in night.table("violations").to_pylist()
        if r["window"] == "week"
    }
    assert verdicts == {("sure", "violated"), ("unsure", "unconfirmed")}
    errors = {c: r["week_standard_error"] for (c, _), r in evidence(night).items()}
    assert errors["unsure"] == pytest.approx((errors["sure"] ** 2 + 0.004**2) ** 0.5)


def test_early_warnings_forecast_the_breach_of_the_pinned_baseline(tmp_path):
    rising = np.linspace(0.0200, 0.0265, HOURS)
    rising += 5e-5 * np.random.default_rng(3).standard_normal(HOURS)
    history = group("c", {"aece": rising})
    for name, baseline in (("free", None), ("pinned", pins(("m", "c", {"aece": 0.01658})))):
        (tmp_path / name).mkdir()
        night = audit(tmp_path / name, history, baseline)
        warned = night.table("warnings").to_pylist()
        row = evidence(night)["c", "aece"]
        if name == "free":
            assert warned == []
            assert row["risk"] < 0.01
            assert row["predicted_breach_at"] is None  # more than a month away
        else:
            assert [w["metric"] for w in warned] == ["aece"]
            assert row["risk"] > 0.3
            assert violated(night) == {}
            hours = (row["predicted_breach_at"] - END).total_seconds() / 3600
            crossing = (0.02658 - 0.0265) / (0.0065 / (HOURS - 1))
            assert hours == pytest.approx(crossing, abs=4)


def test_every_pinned_row_is_accounted_for(tmp_path):
    history = group("c", {"aece": series(0.02, 0.02)})
    baseline = pins(
        ("m", "c", {"aece": 0.02}),
        ("m", "c", {"aece": 0.02}),
        ("m", "other", {"aece": 0.02}),
        ("gone", "c", {"aece": 0.02}),
    )
    plan = AuditPlan(expected_models=("gone",))
    rows = [
        r
        for r in audit(tmp_path, history, baseline, plan=plan).table("coverage").to_pylist()
        if r["unit"] == "baseline"
    ]
    assert [(r["outcome"], r["count"], r["example"]) for r in rows] == [
        ("audited", 1, ""),
        ("duplicate", 1, ""),
        ("missing", 2, "gone / c"),
    ]
    assert rows[2]["reason"] == "pinned, but the history has no such model and class"
    assert "check the names" in rows[2]["remedy"]


def test_a_night_without_a_baseline_says_nothing_of_one(original):
    assert original["free"].summary["baseline_sha256"] is None
    units = set(original["free"].table("coverage")["unit"].to_pylist())
    assert "baseline" not in units


@pytest.fixture(scope="module")
def fleet():
    spec = FleetSpec(models=12, classes=2, broken=0.3, seed=21)
    history = pa.Table.from_batches(simulate(spec))
    keys = history.group_by(["model_id", "class_id"]).aggregate([]).to_pylist()
    baseline = pins(
        *(
            (k["model_id"], k["class_id"], {"aece": 0.008, "alpha": 1.0})
            for i, k in enumerate(keys)
            if i % 3
        )
    )
    return history, baseline


def contents(night):
    return {name: content for name, content in files(night.path).items() if name not in TIMED}


def files(folder):
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def test_neither_the_order_of_pins_nor_the_number_of_workers_matters(fleet, tmp_path, monkeypatch):
    history, baseline = fleet
    for name in ("plain", "mixed"):
        (tmp_path / name).mkdir()
    plain = audit(tmp_path / "plain", history, baseline)
    monkeypatch.setattr("calhard.history.shards.GATHERED_ROWS", 10_000)
    turned = baseline.take(np.arange(baseline.num_rows)[::-1])
    backwards = history.take(np.arange(history.num_rows)[::-1])
    mixed = audit(tmp_path / "mixed", backwards, turned, workers=2)
    assert contents(mixed) == contents(plain)
    assert set(plain.table("evidence")["baseline_source"].to_pylist()) == {
        "pinned",
        "reference",
        None,
    }


def command(tmp_path, *more):
    arguments = ["audit", "history.parquet", "--out", "nights", "--workers", "1", *more]
    return subprocess.run(
        [sys.executable, "-m", "calhard.cli.main", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )


def test_the_command_takes_a_baseline_and_a_second_run_changes_nothing(tmp_path):
    pq.write_table(
        group("c", {"aece": series(0.03, 0.03, noise=1e-4)}), tmp_path / "history.parquet"
    )
    csv.write_csv(pins(("m", "c", {"aece": 0.012})), tmp_path / "agreed.csv")
    first = command(tmp_path, "--baseline", "agreed.csv")
    assert first.returncode == 1, first.stderr
    (night,) = (tmp_path / "nights" / "nights").iterdir()
    before, since = files(night), (night / "manifest.json").stat().st_mtime_ns
    again = command(tmp_path, "--baseline", "agreed.csv")
    assert again.returncode == 1
    assert "is published already;" in again.stderr
    other = command(tmp_path)
    assert "is published already, with another baseline; --force" in other.stderr
    assert files(night) == before
    assert (night / "manifest.json").stat().st_mtime_ns == since


def test_the_command_refuses_a_bad_baseline_before_any_work(tmp_path):
    pq.write_table(group("c", {"aece": series(0.03, 0.03)}), tmp_path / "history.parquet")
    (tmp_path / "bad.csv").write_text("model_id,class_id,aece\nm,c,nan\n")
    done = command(tmp_path, "--baseline", "bad.csv")
    assert done.returncode == 2
    assert 'bad.csv:\n  column "aece", row 1: not finite' in done.stderr
    assert not (tmp_path / "nights").exists()
