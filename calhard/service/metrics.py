"""One sample of a service: what came in, checked, as floats by metric."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from calhard.errors import InputError
from calhard.schema import KEY_COLUMNS, LARGEST, OPTIONAL_COLUMNS, Metric
from calhard.series import NOT_FINITE

SAMPLES = "total_samples"
EXAMPLE = '{"aece": 0.012, "alpha": 0.97}'
PASSED_OVER = frozenset({*KEY_COLUMNS, *OPTIONAL_COLUMNS} - {"timestamp", SAMPLES})
"""Columns of a history's row that tell nothing of a metric; such a row may be given as it is."""


class MetricsError(InputError, ValueError):
    """A sample, a baseline or an instant that cannot be used; nothing of it was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationMetrics:
    """One sample of a model's calibration metrics; None where one was not measured.

    Errors and rates are shares of 1, ``alpha`` is a slope, counts are whole numbers, and
    ``total_samples`` is the number of labels behind the sample. ``declared`` holds the metrics that
    the plan declares, by name.
    """

    aece: float | None = None
    dece: float | None = None
    alpha: float | None = None
    clamp_rate: float | None = None
    merged_bin_rate: float | None = None
    score_range_violations: int | None = None
    mask_mismatch_count: int | None = None
    total_samples: int | None = None
    declared: Mapping[str, float] = field(default_factory=dict)


Sample = CalibrationMetrics | Mapping[str, Any]
"""What the service's methods take: the dataclass, or a mapping of metric name to number."""
_NAMED = tuple(f.name for f in fields(CalibrationMetrics) if f.name != "declared")


def read_sample(metrics: Sample, catalogue: Mapping[str, Metric]) -> tuple[dict[str, float], float]:
    """Return the reported metrics as floats, and the labels behind them (NaN where unknown).

    None means "not measured" and is left out. NaN, ±inf and values out of their metric's range are
    left as they are: a value was reported, and it is a failure. NumPy scalars, fractions and
    decimals are numbers; bool and text are not.

    Raises
    ------
    MetricsError
        No mapping, an unknown metric (the nearest known one is named), a value that is no number,
        no metric at all, or a number of labels that cannot be.
    """
    found: dict[str, float] = {}
    labels = math.nan
    for name, value in _items(metrics):
        if name in catalogue:
            if value is not None:
                found[name] = value if type(value) is float else _number(name, value)
        elif name == SAMPLES:
            labels = _labels(value)
        elif name not in PASSED_OVER:
            raise MetricsError(_unknown(name, catalogue))
    if not found:
        raise MetricsError(
            f"a sample without any metric; expected at least one of {', '.join(catalogue)}, "
            f"such as {EXAMPLE}"
        )
    return found, labels


def kept(number: float) -> float:
    """Return what a history keeps of a reported number: `calhard.series.NOT_FINITE` of no number.

    So does what is beyond ±1e100, where squares cannot be added up.
    """
    return number if abs(number) <= LARGEST else NOT_FINITE


def _items(metrics: Sample) -> list[tuple[Any, Any]]:
    if isinstance(metrics, Mapping):
        return list(metrics.items())
    if isinstance(metrics, CalibrationMetrics):
        named = [(name, getattr(metrics, name)) for name in _NAMED]
        if not isinstance(metrics.declared, Mapping):
            raise MetricsError(
                f"declared = {_shown(metrics.declared)}; expected a mapping of metric to number"
            )
        return named + list(metrics.declared.items())
    raise MetricsError(
        f"{_shown(metrics)} is no sample; expected a mapping of metric to number or "
        f"CalibrationMetrics, such as {EXAMPLE}"
    )


def _number(name: str, value: object) -> float:
    if not isinstance(value, bool | np.bool_) and isinstance(value, Real | Decimal):
        try:
            return float(value)
        except (OverflowError, ValueError):  # an int beyond every float, a signalling NaN
            return NOT_FINITE
    raise MetricsError(
        f"{name} = {_shown(value)}; expected a number, such as {EXAMPLE}, or None where it was "
        "not measured"
    )


def _labels(value: object) -> float:
    if value is None:
        return math.nan
    number = _number(SAMPLES, value)
    if not 0 <= number < NOT_FINITE:
        raise MetricsError(f"{SAMPLES} = {_shown(value)}; expected a whole number of labels, ≥ 0")
    return number


def _unknown(name: object, catalogue: Mapping[str, Metric]) -> str:
    if name == "timestamp":
        return "a sample's instant is an argument of its own: add_metrics(metrics, timestamp=…)"
    if not isinstance(name, str):
        return f"metric names are text; got {_shown(name)}; write them as in {EXAMPLE}"
    near = difflib.get_close_matches(name, [*catalogue, SAMPLES], 1, 0.5)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    return (
        f'unknown metric "{name[:80]}"; {hint}known: {", ".join(catalogue)}; declare another one '
        f"in the plan: AuditPlan(metrics={{{name[:80]!r}: {{}}}})"
    )


def _shown(value: object) -> str:
    """A value and its type, cut short: it may be anything."""
    try:
        text = repr(value)
    except Exception as e:  # noqa: BLE001  # a repr of someone else's may raise what it likes
        text = f"<no repr: {type(e).__name__}>"
    return f"{text[:60]} ({type(value).__name__})"
