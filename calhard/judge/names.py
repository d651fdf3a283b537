"""Names of the judged columns, in order: what workers leave and the driver reads."""

from __future__ import annotations

from calhard.assess.columns import NIGHTS
from calhard.schema import HEADS


def judged_names() -> tuple[str, ...]:
    """Return the names of all judged columns, in order; what a series lacks is NaN."""
    heads = tuple(
        f"{name}_{head}" for head in HEADS for name in ("p", "open", "effect", "change", "onset")
    )
    nights_ = tuple(f"night_{name}_{k}" for k in range(NIGHTS) for name in ("p", "beyond"))
    windows = tuple(
        f"{window}_{name}"
        for window in ("week", "night")
        for name in ("value", "standard_error", "p", "beyond", "samples")
    )
    return _KNOWN + _PLAIN + heads + nights_ + windows


_KNOWN = (
    "cadence",
    "n_reference",
    "n_analysis",
    "n_night",
    "n_missing",
    "n_bad",
    "last_value",
    "last_day",
    "reference_day",
    "analysis_day",
    "spacing_seconds",
    "status",
    "cause",
    "failed_day",
    "short",
)
FORECAST = (
    "predicted_value",
    "interval_low",
    "interval_high",
    "risk",
    "breach_day",
    "breach_earliest_day",
    "breach_latest_day",
)
"""What the line through both windows tells; nothing once a step has parted them."""
_PLAIN = (
    "reference_mean",
    "analysis_mean",
    "reference_sd",
    "analysis_sd",
    "reference_median",
    "cohens_d",
    "welch_t",
    "welch_df",
    "welch_p",
    "lag1",
    "phi",
    "effective_p",
    "smallest_detectable",
    "slope",
    "r_squared",
    "acceleration",
    "volatility",
    "step_squares",
    "line_squares",
    "slo_bound",
    "baseline_value",
    "pinned",
    "tau_shift",
    *FORECAST,
)
