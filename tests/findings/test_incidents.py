"""Incidents: what belongs together, what is fleet-wide, whose fault it may be."""

import random

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from calhard.findings import incidents
from calhard.findings.factor import suspected_factor
from calhard.plan import AuditPlan
from tests.findings.tables import AS_OF_US, ago, regressions, violations

PLAN = AuditPlan(fleet="prod")


def model(i):
    return f"m{i:05d}"


def fleet_tags(size, **tags):
    """One row per model; a tag is a function of the model's number."""
    columns = {"model_id": [model(i) for i in range(size)]}
    columns |= {name: [of(i) for i in range(size)] for name, of in tags.items()}
    return pa.table({name: pa.array(v, pa.string()) for name, v in columns.items()})


def opened(changed=(), broken=(), *, models=1_000, tags=None, plan=PLAN):
    tables = regressions(*changed), violations(*broken)
    tags = fleet_tags(models) if tags is None else tags
    return incidents(*tables, plan, AS_OF_US, models_total=models, tags=tags).to_pylist()


def together(size, *, hours=12, spread=3, first=0, **row):
    """Regressions of ``size`` models whose onsets lie within ``spread`` hours."""
    return [
        row | {"model_id": model(first + i), "onset": ago(hours + spread * i / max(size - 1, 1))}
        for i in range(size)
    ]


@pytest.mark.parametrize(("hours", "count"), [(1, 1), (24, 1), (24.01, 2), (100, 2)])
def test_findings_of_a_model_within_a_day_are_one_incident(hours, count):
    found = opened([{"onset": ago(5)}, {"onset": ago(5 + hours), "metric": "dece"}])
    assert len(found) == count
    assert sum(i["findings"] for i in found) == 2


def test_a_chain_of_onsets_holds_together():
    found = opened([{"onset": ago(h), "class_id": str(h)} for h in (0, 20, 40, 60)])
    assert [(i["findings"], i["onset"]) for i in found] == [(4, ago(60))]
    assert found[0]["classes"] == ["0", "20", "40", "60"]


def test_a_finding_without_an_onset_joins_its_models_incident():
    found = opened([{"onset": ago(30)}, {"onset": None, "metric": "dece"}])
    assert [(i["findings"], i["metrics"]) for i in found] == [(2, ["aece", "dece"])]
    assert opened([{"onset": None}])[0]["onset"] is None


def test_two_models_are_two_incidents():
    assert len(opened(together(2))) == 2


def test_what_is_unconfirmed_or_for_the_better_opens_no_incident():
    broken = [{"verdict": "unconfirmed"}, {"direction": "better"}]
    assert opened(broken=broken) == []
    assert len(opened(broken=[*broken, {"class_id": "d"}])) == 1


def test_a_violation_and_a_regression_of_one_series_are_one_incident():
    found = opened([{"onset": ago(3)}], [{"onset": ago(3), "severity": "high"}])
    assert [(i["findings"], i["severity"]) for i in found] == [(2, "severe")]


def test_four_models_are_never_fleet_wide_and_five_of_a_small_fleet_are():
    assert {i["scope"] for i in opened(together(4), models=4)} == {"model"}
    (only,) = opened(together(5), models=50)
    assert (only["scope"], only["findings"], only["blast_radius"]) == ("fleet", 5, 0.1)
    assert only["models"] == [model(i) for i in range(5)]


def test_the_whole_fleet_at_once_is_one_incident():
    (only,) = opened(together(300), models=300)
    assert (only["findings"], only["blast_radius"], only["scope"]) == (300, 1.0, "fleet")


def scattered(size, days, seed=0):
    """Models that fail by themselves, at any time."""
    at = np.random.default_rng(seed).uniform(24.5, 24 * days, size)
    return [
        {"model_id": model(5_000 + i), "onset": ago(h)} for i, h in enumerate(sorted(at.tolist()))
    ]


def test_few_of_many_models_are_fleet_wide_only_when_chance_is_out_of_the_question():
    """30 independent onsets in 30 days are one a day: 5 in a day are chance, 12 are not."""
    noise = scattered(30, 31)
    assert stats.poisson.sf(4, 1.0) > 1e-6 > stats.poisson.sf(11, 1.0)
    few = opened([*noise, *together(5, hours=2, spread=0.5)], models=10_000)
    many = opened([*noise, *together(12, hours=2, spread=0.5)], models=10_000)
    assert {i["scope"] for i in few} == {"model"}
    assert [len(i["models"]) for i in many if i["scope"] == "fleet"] == [12]


def test_more_than_two_percent_of_the_models_are_fleet_wide_whatever_the_rate():
    noise = [{"model_id": model(100 + i), "onset": ago(45 + 30 * i)} for i in range(8)]
    for size, scope in ((5, "model"), (6, "fleet")):
        found = opened([*together(size), *noise], models=250)  # 2 % are 5
        assert any(i["scope"] == "fleet" for i in found) == (scope == "fleet")


def test_two_fleet_wide_faults_of_different_days_are_two_incidents():
    found = opened([*together(20, hours=2), *together(10, hours=100, first=20)], models=100)
    assert [(i["scope"], len(i["models"])) for i in found] == [("fleet", 20), ("fleet", 10)]


def test_one_early_neighbour_does_not_date_a_fleet_wide_fault():
    changed = [*together(9, hours=2, spread=0), {"model_id": "x", "onset": ago(25)}]
    (only,) = opened(changed, models=50)
    assert only["onset"] == ago(2)


def test_single_faults_of_one_day_that_have_nothing_in_common_stay_apart():
    kinds = ("SuddenJump", "GradualDrift", "MetricFailure", "VarianceIncrease", "Oscillation")
    metrics = ("aece", "dece", "alpha", "clamp_rate")
    changed = [
        row | {"metric": metrics[i % 4], "regression_type": kinds[i % 5]}
        for i, row in enumerate(together(40, spread=20))
    ]
    found = opened(changed, models=400)
    assert len(found) == 40
    assert {i["scope"] for i in found} == {"model"}


def test_a_model_that_shows_half_of_a_common_fault_belongs_to_it():
    both = [r | {"metric": m} for r in together(8) for m in ("aece", "dece")]
    half = [r | {"metric": "dece"} for r in together(2, first=8, spread=1, hours=13)]
    (only,) = opened([*both, *half], models=100)
    assert (only["scope"], len(only["models"])) == ("fleet", 10)


def test_a_neighbour_in_time_that_shares_no_metric_stays_an_incident_of_its_own():
    changed = [*together(9), {"model_id": "x", "onset": ago(12), "metric": "clamp_rate"}]
    found = opened(changed, models=50)
    assert [(i["scope"], len(i["models"])) for i in found] == [("fleet", 9), ("model", 1)]


def test_a_fault_of_all_that_nothing_dates_is_one_incident_too():
    """More variance has no onset; a thousand incidents of it would bury everything else."""
    undated = {"onset": None, "regression_type": "VarianceIncrease"}
    changed = [undated | {"model_id": model(i)} for i in range(40)]
    (only,) = opened(changed, models=40)
    assert (only["scope"], only["onset"], len(only["models"])) == ("fleet", None, 40)


def test_undated_findings_that_have_nothing_in_common_stay_apart():
    metrics = ("aece", "dece", "alpha", "clamp_rate", "merged_bin_rate")
    changed = [{"model_id": model(i), "metric": m, "onset": None} for i, m in enumerate(metrics)]
    assert {i["scope"] for i in opened(changed, models=50)} == {"model"}


def test_the_worst_comes_first_then_the_widest():
    changed = [
        {"model_id": "a", "severity": "minor", "onset": ago(1)},
        {"model_id": "b", "severity": "critical", "onset": ago(30)},
        *together(6, hours=100, severity="moderate"),
        {"model_id": "c", "severity": "moderate", "onset": ago(200)},
    ]
    found = opened(changed, models=100)
    assert [(i["severity"], len(i["models"])) for i in found] == [
        ("critical", 1),
        ("moderate", 6),
        ("moderate", 1),
        ("minor", 1),
    ]


@pytest.mark.parametrize(
    ("violation", "severity"),
    [("low", "minor"), ("medium", "moderate"), ("high", "severe"), ("critical", "critical")],
)
def test_violations_and_regressions_share_one_scale(violation, severity):
    assert opened(broken=[{"severity": violation}])[0]["severity"] == severity


def test_rows_in_any_order_give_the_same_incidents_and_ids():
    changed = [*together(12), *scattered(30, 31), *together(3, first=20, hours=90, onset=None)]
    broken = [{"model_id": model(i), "severity": "high", "onset": ago(12)} for i in range(8)]
    tags = fleet_tags(200, team=lambda i: f"team-{i % 3}")
    first = opened(changed, broken, models=200, tags=tags)
    for seed in range(3):
        shuffle = random.Random(seed).sample
        again = opened(
            shuffle(changed, len(changed)), shuffle(broken, len(broken)), models=200, tags=tags
        )
        assert again == first
    ids = [i["incident_id"] for i in first]
    assert len(set(ids)) == len(ids)
    assert all(len(i) == 12 and int(i, 16) >= 0 for i in ids)


def test_ids_depend_on_the_fleet_and_on_what_happened_alone():
    changed = [{"onset": ago(3)}]
    (usual,) = opened(changed)
    (worse,) = opened([{"onset": ago(3), "severity": "critical"}])
    (other,) = opened(changed, plan=AuditPlan(fleet="test"))
    assert usual["incident_id"] == worse["incident_id"] != other["incident_id"]


def test_a_long_name_leaves_room_for_what_happened():
    (only,) = opened([{"model_id": "n" * 300}])
    assert only["title"].endswith("…: aece")
    assert only["models"] == ["n" * 300]


def test_fifty_thousand_findings_are_grouped():
    changed = [
        {"model_id": model(i % 10_000), "class_id": str(i // 10_000), "onset": ago(1 + i % 700)}
        for i in range(50_000)
    ]
    found = opened(changed, models=10_000)
    assert sum(i["findings"] for i in found) == 50_000


DEPLOYED = {
    "model_version": lambda i: "7.1" if i < 40 else "7.0",
    "team": lambda i: "abcd"[i % 4],
    "region": lambda i: "eu" if i % 3 else None,
}


def test_what_the_affected_models_share_is_suspected():
    tags = fleet_tags(200, **DEPLOYED)
    (only,) = opened(together(30), models=200, tags=tags)
    told = "model_version = 7.1 (30 of the 30 affected models; 40 of all 200)"
    assert only["suspected_factor"] == told
    assert only["title"].endswith("; suspected: model_version = 7.1")


def test_a_factor_is_named_when_its_hypergeometric_tail_survives_benjamini_hochberg():
    """k of 10 affected models carry a value that 20 of 100 have; 4 pairs are tested."""
    for k in range(11):
        tags = fleet_tags(
            100,
            team=lambda i, k=k: "x" if i < k or 10 <= i < 30 - k else "y",
            region=lambda i: "eu" if i % 2 else "us",
        )
        tail = stats.hypergeom.sf(k - 1, 100, 20, 10)
        others = [
            stats.hypergeom.sf(10 - k - 1, 100, 80, 10),
            stats.hypergeom.sf(4, 100, 50, 10),
            stats.hypergeom.sf(4, 100, 50, 10),
        ]
        q = stats.false_discovery_control([tail, *others])
        named = suspected_factor([model(i) for i in range(10)], tags)
        assert ("team = x" in named) == (q[0] <= 0.05), k


def test_nothing_over_represented_is_no_suspicion():
    tags = fleet_tags(200, team=lambda i: "abcd"[i % 4])
    (only,) = opened(together(20), models=200, tags=tags)
    assert only["suspected_factor"] is None
    assert "suspected" not in only["title"]


def test_what_the_whole_fleet_shares_explains_nothing():
    tags = fleet_tags(60, model_version=lambda i: "7.1")
    (only,) = opened(together(60), models=60, tags=tags)
    assert only["suspected_factor"] is None


def test_values_that_no_affected_model_has_count_as_tests():
    """One of hundred values, all different, is not worth naming."""
    tags = fleet_tags(200, commit=lambda i: "c0" if i in {0, 1, 150} else f"c{i}")
    assert suspected_factor([model(i) for i in range(6)], tags) == ""


def test_a_fleet_without_tags_has_no_suspect():
    assert suspected_factor([model(0)], fleet_tags(10)) == ""
    assert suspected_factor(["unknown"], fleet_tags(10, team=str)) == ""
