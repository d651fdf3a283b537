"""Metrics that a user declares, and other bounds for some models and classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from calhard.plan.globs import matched
from calhard.plan.rules import Broken, refuse
from calhard.plan.sections import Positive, Section, Share
from calhard.schema import Bound, Direction, Metric

WITH_THRESHOLD = ("drift", "level")
BOUNDS = {
    "aece": ("aece_threshold", "aece_threshold"),
    "dece": ("dece_threshold", "dece_threshold"),
    "alpha": ("alpha_threshold", "alpha_threshold"),
    "clamp_rate": ("clamp_rate_threshold", "clamp_rate_threshold"),
    "merged_bin_rate": ("merged_bin_warn_threshold", "merged_bin_fail_threshold"),
}
"""Keys of the bounds at which a built-in metric warns and fails."""


class Thresholds(NamedTuple):
    """The bounds of one series; NaN where it has no SLO."""

    warn: float
    fail: float


def _no_default(schema: dict[str, Any]) -> None:
    del schema["default"]  # JSON has no infinity


class MetricSpec(Section):
    """A metric that the user declares."""

    direction: Literal["higher_is_worse", "lower_is_worse", "away_is_worse"] = "higher_is_worse"
    bound: Literal["drift", "level", "zero", "none"] = Field(
        "none", description="what the SLO reads: the change, the value, any value above 0, nothing"
    )
    threshold: float | None = Field(None, description="the SLO's bound")
    low: float = Field(
        float("-inf"),
        allow_inf_nan=True,
        description="least sound value; none by default",
        json_schema_extra=_no_default,
    )
    high: float = Field(
        float("inf"),
        allow_inf_nan=True,
        description="largest sound value; none by default",
        json_schema_extra=_no_default,
    )
    importance: Positive = Field(1.0, description="weighs the severity; aece has 1.5, alpha 0.8")

    def metric(self, name: str) -> Metric:
        """Return what is declared as an entry of the metric catalogue."""
        direction: Direction = self.direction
        bound: Bound = self.bound
        return Metric(name, direction, bound, self.low, self.high, self.importance)

    @model_validator(mode="after")
    def _sound(self) -> MetricSpec:
        refuse([*self._threshold(), *self._range()])
        return self

    def _threshold(self) -> list[Broken]:
        if self.threshold is None:
            missing = self.bound in WITH_THRESHOLD
            return [Broken(("bound",), f'"{self.bound}" needs a threshold')] if missing else []
        if self.bound not in WITH_THRESHOLD:
            message = f'has no effect with bound = "{self.bound}"; write "drift" or "level"'
            return [Broken(("threshold",), message)]
        if self.bound == "drift" and self.threshold <= 0:
            return [Broken(("threshold",), f"{self.threshold:g}; a drift's bound is above 0")]
        return []

    def _range(self) -> list[Broken]:
        if self.low <= self.high:
            return []
        return [Broken(("low",), f"{self.low:g} is not below high {self.high:g}")]


class Override(Section):
    """Other bounds for the models and classes that match; later ones win.

    ``model`` and ``class`` are globs; see `calhard.plan.globs`.
    """

    model: str = Field("*", min_length=1, description="glob over model_id")
    class_: str = Field("*", min_length=1, alias="class", description="glob over class_id")
    aece_threshold: Positive | None = None
    dece_threshold: Positive | None = None
    alpha_threshold: Positive | None = None
    clamp_rate_threshold: Share | None = None
    merged_bin_warn_threshold: Share | None = None
    merged_bin_fail_threshold: Share | None = None
    min_effect_size: float | None = Field(None, ge=0)
    c_hat: Positive | None = None

    def matching(self, model_ids: Sequence[str], class_ids: Sequence[str]) -> NDArray[np.bool_]:
        """Return which (model, class) pairs match, shape (G,)."""
        return matched((self.model,), model_ids) & matched((self.class_,), class_ids)


def impossible_bounds(
    overrides: Sequence[Override], base_warn: float, base_fail: float
) -> list[Broken]:
    """Return overrides of merged bins that no other bound can make ordered: warn ≤ fail."""
    warns = [base_warn, *(o.merged_bin_warn_threshold for o in overrides)]
    fails = [base_fail, *(o.merged_bin_fail_threshold for o in overrides)]
    least = min(w for w in warns if w is not None)
    most = max(f for f in fails if f is not None)
    broken = []
    for index, override in enumerate(overrides):
        warn, fail = override.merged_bin_warn_threshold, override.merged_bin_fail_threshold
        if warn is not None and warn > (most if fail is None else fail):
            message = f"{warn:g} lies above every merged_bin_fail_threshold that could apply"
            broken.append(Broken(("overrides", index, "merged_bin_warn_threshold"), message))
        elif fail is not None and fail < (least if warn is None else warn):
            message = f"{fail:g} lies below every merged_bin_warn_threshold that could apply"
            broken.append(Broken(("overrides", index, "merged_bin_fail_threshold"), message))
    return broken
