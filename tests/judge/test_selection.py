"""From heads to one p and from p-values to a night: by hand and against SciPy."""

import numpy as np
import pytest
from scipy import stats

from calhard.assess.columns import to_batch
from calhard.findings import fleet_health, health
from calhard.judge.evidence import decide, fleet_q_values
from calhard.judge.names import judged_names
from calhard.judge.selection import combine, deflated, effects, is_worse, kinds
from calhard.plan import AuditPlan, Regression
from calhard.schema import HEADS
from calhard.simulate import healthy_series, plant
from tests.blocks import audit_values
from tests.findings.tables import groups, improvements, regressions, violations, warnings

WEIGHTS = Regression().weights()
NO_INFLATION = np.ones((1, 4, len(HEADS)))
NAN = float("nan")


def judged(p, *, gated=(), size=1, **more):
    """Judged columns of ``size`` like series; ``p`` by head, in order, NaN where it is off."""
    columns = {name: np.full(size, np.nan) for name in judged_names()}
    for head, value in zip(HEADS, p, strict=True):
        columns[f"p_{head}"] = np.broadcast_to(np.asarray(value, float), (size,)).copy()
        columns[f"open_{head}"] = np.full(size, 0.0 if head in gated else 1.0)
    columns |= {"cadence": np.zeros(size), "status": np.zeros(size), "short": np.zeros(size)}
    columns |= {name: np.full(size, float(value)) for name, value in more.items()}
    return columns | {"metric": np.zeros(size, np.int64), "group": np.arange(size)}


def combined(p, **more):
    value, head = combine(judged(p, **more), NO_INFLATION, WEIGHTS)
    return float(value[0]), HEADS[head[0]] if head[0] >= 0 else None


def test_the_smallest_weighted_p_speaks():
    assert combined([0.01, 0.001, 0.5, 0.5, 0.5]) == (pytest.approx(0.001 / 0.3), "scan")
    assert combined([0.001, 0.001, 0.5, 0.5, 0.5]) == (pytest.approx(0.001 / 0.4), "level")
    assert combined([0.5, 0.5, 0.5, 0.5, 1e-5]) == (pytest.approx(1e-4), "oscillation")


def test_a_combined_p_is_never_above_one():
    assert combined([1.0, 1.0, 1.0, 1.0, 1.0])[0] == 1.0


def test_heads_that_are_off_share_their_weight_out():
    """Daily data: heads 4 and 5 are off, the other weights are 4/8, 3/8 and 1/8."""
    assert combined([0.01, 1, 1, NAN, NAN]) == (pytest.approx(0.02), "level")
    assert combined([1, 0.01, 1, NAN, NAN]) == (pytest.approx(0.01 * 8 / 3), "scan")
    assert combined([1, 1, 0.01, NAN, NAN]) == (pytest.approx(0.08), "slope")
    assert combined([0.01, NAN, NAN, NAN, NAN]) == (0.01, "level")


def test_a_series_without_any_head_has_no_p():
    value, head = combine(judged([NAN] * 5), NO_INFLATION, WEIGHTS)
    assert np.isnan(value[0])
    assert head[0] == -1


def test_a_gated_head_keeps_its_weight_and_says_nothing():
    assert combined([1e-9, 0.001, 1, 1, 1], gated=("level",)) == (
        pytest.approx(0.001 / 0.3),
        "scan",
    )
    assert combined([1e-9] * 5, gated=HEADS)[0] == 1.0


def test_a_head_switched_off_in_the_plan_weighs_nothing():
    weights = Regression(heads=("level", "slope")).weights()
    value, head = combine(judged([0.01, 1e-9, 0.5, 1e-9, 1e-9]), NO_INFLATION, weights)
    assert (value[0], HEADS[head[0]]) == (pytest.approx(0.01 * 5 / 4), "level")


@pytest.mark.parametrize(("raw", "applied"), [(1.0, 1.0), (1.5, 1.5), (2.0, 2.0), (62.0, 2.0)])
def test_inflation_is_taken_out_of_its_own_family_and_head_and_capped(raw, applied):
    columns = judged([1e-4] * 5, size=3)
    columns["cadence"] = np.array([0.0, 1.0, 0.0])
    factors = np.ones((1, 4, 5))
    factors[0, 0, HEADS.index("scan")] = raw
    found = deflated(columns, "scan", factors)
    expected = stats.chi2.sf(stats.chi2.isf(1e-4, 1) / applied, 1)
    assert found == pytest.approx([expected, 1e-4, expected], rel=1e-9)
    assert deflated(columns, "level", factors) == pytest.approx([1e-4] * 3)


def test_the_plans_cap_is_the_one_applied():
    factors = np.full((1, 4, 5), 9.0)
    batch = to_batch(judged([1e-6] * 5))
    p = [
        float(decide([batch], factors, Regression(lambda_cap=cap)).p[0]) for cap in (1.0, 2.0, 4.0)
    ]
    expected = [stats.chi2.sf(stats.chi2.isf(1e-6, 1) / cap, 1) / 0.4 for cap in (1.0, 2.0, 4.0)]
    assert p == pytest.approx(expected, rel=1e-9)


def test_q_values_are_benjamini_hochbergs_once_the_night_is_open():
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(size=200), 1e-6 * rng.uniform(size=5)])
    expected = stats.false_discovery_control(p)
    assert fleet_q_values(p, Regression()) == pytest.approx(expected)
    expected = stats.false_discovery_control(p, method="by")
    assert fleet_q_values(p, Regression(fdr="by")) == pytest.approx(expected)


def test_a_series_that_was_not_tested_is_not_counted():
    p = np.array([1e-5, NAN, 0.3, NAN])
    q = fleet_q_values(p, Regression())
    assert q[[0, 2]] == pytest.approx([2e-5, 0.3])
    assert np.isnan(q[[1, 3]]).all()


@pytest.mark.parametrize("fdr", ["bh", "by"])
def test_a_closed_night_alarms_nothing_and_its_edge_is_simes_test(fdr):
    rule = Regression(fdr=fdr, night_level=0.01)
    many = 1.0 if fdr == "bh" else 1.5  # Σ 1/k of two tests
    for smallest, opened in ((0.0049 / many, True), (0.0051 / many, False)):
        q = fleet_q_values(np.array([smallest, 0.9]), rule)
        assert (q.min() <= rule.fdr_level) == opened
        assert (q.min() <= rule.night_level) == opened


def test_a_healthy_night_opens_as_seldom_as_its_level_says():
    rng = np.random.default_rng(1)
    rule = Regression(night_level=0.02)
    nights = [fleet_q_values(rng.uniform(size=100), rule).min() <= 0.05 for _ in range(4_000)]
    assert abs(np.mean(nights) - 0.02) < 0.008


def test_between_step_and_ramp_the_smaller_residual_sum_decides():
    for head in ("level", "scan", "slope"):
        at = np.array([HEADS.index(head)])
        squares = {"step_squares": 1.0, "line_squares": 2.0}
        assert kinds(judged([0.1] * 5, **squares), at).tolist() == ["SuddenJump"]
        squares = {"step_squares": 2.0, "line_squares": 1.0}
        assert kinds(judged([0.1] * 5, **squares), at).tolist() == ["GradualDrift"]
    for head, kind in (("variance", "VarianceIncrease"), ("oscillation", "Oscillation")):
        at = np.array([HEADS.index(head)])
        assert kinds(judged([0.1] * 5, step_squares=1, line_squares=2), at).tolist() == [kind]
    assert kinds(judged([0.1] * 5, status=3), np.array([0])).tolist() == ["MetricFailure"]
    assert kinds(judged([NAN] * 5), np.array([-1])).tolist() == [""]


def test_a_trend_is_no_jump_that_would_not_be_reported_as_one():
    columns = judged([0.1] * 5, step_squares=1.0, line_squares=2.0, open_scan=0.0)
    assert kinds(columns, np.array([HEADS.index("slope")])).tolist() == ["GradualDrift"]
    assert kinds(columns, np.array([HEADS.index("level")])).tolist() == ["SuddenJump"]


def test_the_effect_is_that_of_the_kind():
    said = {f"effect_{head}": float(i + 1) for i, head in enumerate(HEADS)}
    said |= {f"change_{head}": 10.0 * (i + 1) for i, head in enumerate(HEADS)}
    columns = judged([0.1] * 5, **said, onset_scan=-3.0, onset_level=-7.0, failed_day=-1.0)
    columns["p_scan"][:] = 0.2
    for head, kind, effect, onset in (
        (0, "SuddenJump", 1.0, -7.0),
        (1, "SuddenJump", 2.0, -3.0),
        (2, "SuddenJump", 2.0, -3.0),
        (0, "GradualDrift", 3.0, NAN),
        (3, "VarianceIncrease", 4.0, NAN),
        (4, "Oscillation", 5.0, NAN),
    ):
        found = effects(columns, np.array([head]), np.array([kind], object))
        assert found[0][0] == effect, kind
        assert found[1][0] == 10.0 * effect
        assert found[2][0] == pytest.approx(onset, nan_ok=True), kind
    columns["p_scan"][:] = 0.01  # a split that is sure of itself dates steps and drifts
    for kind in ("SuddenJump", "GradualDrift"):
        assert effects(columns, np.array([0]), np.array([kind], object))[2][0] == -3.0
    assert effects(columns, np.array([0]), np.array(["MetricFailure"], object))[2][0] == -1.0


@pytest.mark.parametrize(
    ("direction", "kind", "change", "worse"),
    [
        ("higher_is_worse", "SuddenJump", 0.1, True),
        ("higher_is_worse", "SuddenJump", -0.1, False),
        ("higher_is_worse", "GradualDrift", -0.1, False),
        ("lower_is_worse", "SuddenJump", 0.1, False),
        ("lower_is_worse", "GradualDrift", -0.1, True),
        ("away_is_worse", "SuddenJump", 0.1, True),
        ("away_is_worse", "SuddenJump", -0.1, True),
        ("higher_is_worse", "VarianceIncrease", 0.1, True),
        ("lower_is_worse", "Oscillation", 0.1, True),
        ("higher_is_worse", "MetricFailure", NAN, True),
    ],
)
def test_what_is_worse_depends_on_the_metric(direction, kind, change, worse):
    found = is_worse(direction, np.array([kind], object), np.array([change]))
    assert found.tolist() == [worse]


def test_a_fleet_of_which_a_third_is_broken_is_found_and_called_unsound():
    """An uncapped factor would silence it; the raw one is told, and is a reason by itself."""
    x = healthy_series(np.random.default_rng(2), 300, 200, phi=0.3)
    x[:100] = plant(x[:100], "step", 3.0, 133)
    result = audit_values(x, 67)
    assert result.factors[0, 0, HEADS.index("scan")] > 10.0
    assert result.alarmed[:100].mean() >= 0.99
    none = violations(), regressions(), improvements(), warnings()
    state = fleet_health(
        health(groups({}), *none),
        regressions(),
        warnings(),
        coverage=1.0,
        coverage_bound=0.99,
        inflation={"aece/hourly/scan": float(result.factors[0, 0, HEADS.index("scan")])},
        cap=AuditPlan().regression.lambda_cap,
    )
    assert not state.healthy


def test_rising_aece_is_a_regression_and_falling_aece_an_improvement():
    from calhard.findings import improvements as better
    from calhard.findings import regressions as worse

    x = healthy_series(np.random.default_rng(3), 60, 200, phi=0.2)
    x[:3] = plant(x[:3], "step", 4.0, 133)
    x[3:6] = plant(x[3:6], "step", -4.0, 133)
    result = audit_values(x, 67, sd=0.01)
    rose = worse(result.candidates, result.plan, 0)
    fell = better(result.candidates, result.plan, 0)
    assert rose["model_id"].to_pylist() == ["m000000", "m000001", "m000002"]
    assert set(rose["direction"].to_pylist()) == {"worse"}
    assert fell["model_id"].to_pylist() == ["m000003", "m000004", "m000005"]
    assert set(fell["direction"].to_pylist()) == {"better"}
