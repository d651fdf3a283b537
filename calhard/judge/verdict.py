"""One metric's series, judged: raw p-values, SLO tests and forecasts as flat columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calhard.assess.accumulate import trend_of
from calhard.assess.columns import LEAST_SPREAD, NIGHTS, RECENT, SHORT, Columns, unpack
from calhard.assess.correlation import head_correlation
from calhard.judge.head import Head
from calhard.judge.heads import judge_heads, shrunk_correlations
from calhard.judge.labels import CALIBRATION_ERRORS, unless_explained
from calhard.judge.levels import level_test
from calhard.judge.outlook import outlook, t_quantile
from calhard.judge.pinned import Pin
from calhard.judge.ruling import Ruling, scan_null
from calhard.judge.selection import DRIFT, is_worse
from calhard.judge.slo import Baseline, Window, baseline, nights, tau_shift, week
from calhard.judge.status import FAILED, OK, Status, Tolerance, judge_status
from calhard.schema import HEADS, Metric
from calhard_kernels._array import Array
from calhard_kernels.effective import Correlation, reference_welch
from calhard_kernels.slope import Trend
from calhard_kernels.welch import Test, cohens_d, welch

POWER_TAIL, POWER_Z = 0.0002, 0.84
"""The smallest detectable change is found 8 times in 10 at about this level."""


def judge_metric(
    columns: Columns,
    metric: int,
    ruling: Ruling,
    models: Sequence[str],
    classes: Sequence[str],
    pin: Pin | None = None,
) -> tuple[Columns, Status]:
    """Return the judged columns of every series of one metric, and their status.

    ``columns`` are the accumulators of S series in key order, ``models`` and ``classes`` their
    keys, ``pin`` what is pinned for them. Statistics of a series that cannot be judged are NaN.
    """
    spec = list(ruling.metrics.values())[metric]
    plan = ruling.plan
    tolerance = Tolerance(
        plan.windows.min_reference, plan.windows.min_analysis, plan.regression.bad_tolerance
    )
    status = judge_status(columns, spec, tolerance)
    judged = (columns["tested"] > 0) & ((status.code == OK) | (status.code == FAILED))
    found = _known(columns, status)
    if spec.is_count:
        return found | _count_windows(columns), status
    found["smallest_detectable"] = _blind(columns)
    rows = np.flatnonzero(judged)
    if len(rows):
        part = {name: values[rows] for name, values in columns.items()}
        keys = [models[r] for r in rows.tolist()], [classes[r] for r in rows.tolist()]
        pins = None if pin is None else pin.take(rows)
        for name, values in _statistics(part, metric, spec, ruling, *keys, pins).items():
            found.setdefault(name, np.full(len(judged), np.nan))[rows] = values
    return found, status


def _blind(columns: Columns) -> Array:
    """Smallest change that a series too short to be judged could have shown, shape (S,).

    sd √(1/n_a + 1/n_b), with the t quantile of n_a − 1 degrees of freedom: correlation is unknown,
    so this is the least it could be; NaN where there is no spread to go by.
    """
    n_a, n_b = columns["n_reference"], columns["n_analysis"]
    a = unpack(columns, "raw_a", n_a)
    error = np.sqrt(a.variance * (1.0 / np.maximum(n_a, 1.0) + 1.0 / np.maximum(n_b, 1.0)))
    known = np.isfinite(a.shift) & (n_a >= LEAST_SPREAD) & (n_b > 0)
    df = np.where(known, n_a - 1.0, 1.0)
    return np.where(known, error * (t_quantile(df, POWER_TAIL) + POWER_Z), np.nan)


def _known(columns: Columns, status: Status) -> Columns:
    """Columns that every series has."""
    names = ("cadence", "n_reference", "n_analysis", "n_night", "n_missing", "last_value")
    return {
        **{name: columns[name] for name in names},
        "n_bad": columns["bad_reference"] + columns["bad_analysis"],
        "last_day": columns["last_day"],
        "reference_day": columns["reference_day"],
        "analysis_day": columns["analysis_day"],
        "spacing_seconds": columns["spacing"] / 1e6,
        "status": status.code.astype(np.float64),
        "cause": status.cause.astype(np.float64),
        "short": (columns["n_analysis"] < SHORT).astype(np.float64),
        "failed_day": status.onset_day,
    }


def _count_windows(columns: Columns) -> Columns:
    """A count that must be 0 has totals, no tests: its p is 0 or 1, NaN where nothing was seen."""
    seen = columns["n_analysis"] > 0
    totals = {"week": np.where(seen, columns["total_week"], np.nan)}
    totals |= {f"night_{k}": columns[f"night_mean_{k}"] for k in range(NIGHTS)}
    found: Columns = {}
    for name, total in totals.items():
        beyond, p = (total > 0).astype(np.float64), np.where(total > 0, 0.0, 1.0)
        p = np.where(np.isfinite(total), p, np.nan)
        if name == "week":
            found |= {"week_value": total, "week_p": p, "week_beyond": beyond}
            continue
        k = name.removeprefix("night_")
        found |= {f"night_p_{k}": p, f"night_beyond_{k}": beyond}
        if k == "0":
            found |= {"night_value": total, "night_p": p, "night_beyond": beyond}
    return found


def _statistics(
    columns: Columns,
    index: int,
    metric: Metric,
    ruling: Ruling,
    models: Sequence[str],
    classes: Sequence[str],
    pin: Pin | None,
) -> Columns:
    plan = ruling.plan
    correlations = shrunk_correlations(columns, ruling.priors_of(index))
    min_effect = plan.min_effects_for(models, classes)
    test = level_test(columns, correlations["level"])
    heads = judge_heads(columns, correlations, test, min_effect, scan_null())
    if metric.name in CALIBRATION_ERRORS:
        heads = unless_explained(heads, columns)
    found = _plain(columns, correlations["level"], test) | _heads(columns, heads)
    if "slope" in correlations:
        found |= _trend_columns(trend_of(columns, columns["n_reference"] + columns["n_analysis"]))
        found["volatility"] = columns["volatility"]
    if metric.bound in {"drift", "level"}:
        bound, _ = plan.thresholds_for(metric.name, models, classes)
        base = baseline(columns, correlations["level"], pin)
        found |= _slo(columns, correlations, metric, bound, base, ruling)
    return found


def _plain(columns: Columns, correlation: Correlation, level: Test) -> Columns:
    """The plain statistics that are shown but do not decide."""
    a = unpack(columns, "raw_a", columns["n_reference"])
    b = unpack(columns, "raw_b", columns["n_analysis"])
    test = welch(a, b)
    return {
        "reference_mean": a.mean,
        "analysis_mean": b.mean,
        "reference_sd": np.sqrt(a.variance),
        "analysis_sd": np.sqrt(b.variance),
        "reference_median": columns["reference_median"],
        "cohens_d": cohens_d(a, b),
        "welch_t": test.t,
        "welch_df": test.df,
        "welch_p": test.p,
        "lag1": _lag1(columns),
        "phi": correlation.phi,
        "effective_p": level.p,
        "smallest_detectable": _detectable(columns, correlation, level),
    }


def _detectable(columns: Columns, correlation: Correlation, level: Test) -> Array:
    """Change of level found 8 times in 10; short windows go by the reference's variance alone.

    So does their level head, which asks `RECENT` times: seven values tell little of their variance.
    """
    n_b = columns["n_analysis"]
    a = unpack(columns, "level_a", columns["n_reference"])
    known = reference_welch(a, n_b, np.zeros(len(n_b)), correlation)
    return np.where(
        n_b < SHORT,
        known.error * (t_quantile(known.df, POWER_TAIL / len(RECENT)) + POWER_Z),
        level.error * (t_quantile(level.df, POWER_TAIL) + POWER_Z),
    )


def _lag1(columns: Columns) -> Array:
    """Bias-corrected lag-1 correlation of the series alone."""
    found = head_correlation(columns, "level")
    return np.full(len(columns["tested"]), np.nan) if found is None else found.phi


def _heads(columns: Columns, heads: dict[str, Head]) -> Columns:
    found: Columns = {}
    for name in HEADS:
        if name not in heads:
            continue
        head = heads[name]
        found[f"p_{name}"] = head.p
        found[f"open_{name}"] = head.gate.astype(np.float64)
        found[f"effect_{name}"] = head.effect
        found[f"change_{name}"] = head.change
        found[f"onset_{name}"] = head.onset_day
    if "scan" in heads:
        found["step_squares"] = columns["scan_a_squares"] + columns["scan_b_squares"]
    if "slope" in heads:
        found["line_squares"] = columns["slope_residual_squares"]
    return found


def _trend_columns(fit: Trend) -> Columns:
    return {"slope": fit.slope, "r_squared": fit.r_squared, "acceleration": fit.curvature}


def _slo(
    columns: Columns,
    correlations: dict[str, Correlation],
    metric: Metric,
    bound: Array,
    base: Baseline,
    ruling: Ruling,
) -> Columns:
    shift = tau_shift(columns["labels_a"], columns["labels_b"])
    by_labels = metric.name in CALIBRATION_ERRORS
    explained = np.where(np.isfinite(shift) & by_labels, shift, 0.0)
    whole = week(columns, base, bound, metric.slo, explained)
    single = nights(columns, base, bound, metric.slo, by_labels=by_labels)
    broken = [night.beyond & _for_worse(metric, night.value - base.mean) for night in single]
    found = {
        "slo_bound": bound,
        "baseline_value": base.mean,
        "pinned": base.pinned.astype(np.float64),
        "tau_shift": shift,
        "week_samples": columns["labels_week"],
        "night_samples": columns["labels_night"],
        **_window("week", whole),
        **_window("night", single[0]),
        **{f"night_p_{k}": single[k].p for k in range(NIGHTS)},
        **{f"night_beyond_{k}": broken[k].astype(np.float64) for k in range(NIGHTS)},
    }
    if "slope" in correlations:
        law = outlook(
            columns,
            correlations["slope"],
            base.mean,
            bound,
            metric.slo,
            ruling.plan.windows.horizon_days,
            ruling.clock.night_days,
        )
        found |= {
            "predicted_value": law.value,
            "interval_low": law.low,
            "interval_high": law.high,
            "risk": law.risk,
            "breach_day": law.breach_day,
            "breach_earliest_day": law.earliest_day,
            "breach_latest_day": law.latest_day,
        }
    return found


def _for_worse(metric: Metric, drift: Array) -> Array:
    """Whether a value beyond its bound is so for the worse; a better night costs no budget."""
    if metric.bound != "drift":
        return np.ones(len(drift), np.bool_)
    return is_worse(metric.direction, np.full(len(drift), DRIFT), drift)


def _window(name: str, window: Window) -> Columns:
    return {
        f"{name}_value": window.value,
        f"{name}_standard_error": window.standard_error,
        f"{name}_p": window.p,
        f"{name}_beyond": window.beyond.astype(np.float64),
    }
