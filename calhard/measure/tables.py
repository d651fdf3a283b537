"""Columns of a measured history and of its bin table."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from calhard.schema import CANONICAL, TIMESTAMP

_F, _I, _S = pa.float64(), pa.int64(), pa.string()
KEYS = (("model_id", _S), ("class_id", _S), ("timestamp", TIMESTAMP))
COUNTS = (
    "score_range_violations",
    "label_range_violations",
    "mask_mismatch_count",
    "total_samples",
    "unlabelled_rows",
    "unusable_rows",
)
METRICS = (
    *("aece", "aece_standard_error", "dece", "dece_standard_error", "ece_debiased"),
    *("alpha", "alpha_standard_error", "intercept", "intercept_standard_error"),
    *("brier", "reliability", "resolution", "uncertainty"),
    *("tau", "aece_minus_tau", "c_hat", "clamp_rate", "merged_bin_rate"),
    *("mean_score", "mean_label"),
)
"""Columns of numbers; null where they have no value."""
EXTRAS = {
    "smooth_ece": ("smooth_ece",),
    "ecce": ("ecce_mad", "ecce_kuiper", "ecce_p"),
    "spiegelhalter": ("spiegelhalter_z", "spiegelhalter_p"),
}
"""Statistics on request and their columns."""
BINS = pa.schema(
    [
        *KEYS,
        ("bin", pa.int32()),  # from 0, of those asked for; empty ones are not listed
        ("low", _F),  # least and largest score in it
        ("high", _F),
        ("count", _I),
        ("weight", _F),
        ("mean_score", _F),
        ("mean_label", _F),
        ("merged_with", pa.int32()),  # the neighbour of a bin with too few rows
        ("clamped", _I),  # rows at the calibrator's bounds
    ]
)


def history_schema(extras: Sequence[str] = (), tags: Sequence[str] = ()) -> pa.Schema:
    """Return the columns of a measured history, in their order.

    Parameters
    ----------
    extras : names of `EXTRAS`
    tags : tag columns of the predictions; one that has a column's name here is left out
    """
    more = [column for name in EXTRAS if name in extras for column in EXTRAS[name]]
    columns = [
        *KEYS,
        ("ingested_at", TIMESTAMP),  # the period's end: when the row becomes known
        *((name, _F) for name in METRICS),
        ("n_bins", _I),  # of equal mass, asked for
        *((name, _I) for name in COUNTS),
        ("top_label", pa.bool_()),  # of __all__: examples by their top label, not classes pooled
        *((name, _F) for name in more),
    ]
    taken = {name for name, _ in columns}
    return pa.schema([*columns, *((tag, _S) for tag in tags if tag not in taken)], CANONICAL)
