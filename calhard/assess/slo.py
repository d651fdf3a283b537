"""What the SLOs compare: label-weighted means of the reference, the week and its nights."""

from __future__ import annotations

import numpy as np

from calhard.assess.columns import NIGHTS, Columns
from calhard.assess.panel import Panel
from calhard_kernels._array import Array


def slo_columns(panel: Panel, night_days: float) -> Columns:
    """Return weighted means, Kish sizes and label counts of every window of a panel.

    Night k is (as_of − (k + 1)·night_days, as_of − k·night_days]. A slot weighs its
    ``total_samples``; a slot of 0 weighs nothing, one that tells none the median of those that the
    series tells (1 without any), and a series in which a window weighs nothing weighs every slot
    alike. With weights w the mean is Σwx/Σw and the effective number of slots (Σw)²/Σw² (Kish
    1965).

    Columns: ``mean_a``/``kish_a`` (reference), ``mean_b``/``kish_b`` (analysis),
    ``night_mean_k``/``night_kish_k`` (k = 0 … 6; NaN without a slot), ``labels_a``/``labels_b``/
    ``night_labels_k`` (labels per slot that tells them), ``labels_week``/``labels_night`` (labels
    told in all); NaN where unknown.
    """
    masks = _masks(panel, night_days)
    weight = _weights(panel, masks)
    centre = panel.x[:, panel.boundary - 1] if panel.boundary else panel.x[:, 0]
    centred = panel.x - centre[:, None]
    columns: Columns = {}
    for name, mask in masks.items():
        part = panel.reference if name == "a" else panel.analysis
        mean, kish = _weighted_mean(centred[:, part], weight[:, part] * mask)
        columns[f"mean_{name}"] = centre + mean
        columns[f"kish_{name}"] = np.broadcast_to(kish, mean.shape)
    return _renamed(columns) | _labels(panel, masks)


def _renamed(columns: Columns) -> Columns:
    """Nights are called night_mean_k and night_kish_k."""
    nights = {
        f"{kind}_{k}": f"night_{kind}_{k}" for k in range(NIGHTS) for kind in ("mean", "kish")
    }
    return {nights.get(name, name): value for name, value in columns.items()}


def _masks(panel: Panel, night_days: float) -> dict[str, Array]:
    """Validity as 0/1 of the reference (a), the analysis window (b) and each of its nights.

    One row of each for all series of a dense panel in step.
    """
    rows = 1 if panel.in_step and panel.valid is None else len(panel.x)
    valid = np.ones((rows, panel.x.shape[1])) if panel.valid is None else panel.valid.astype(float)
    a, b = valid[:, panel.reference], valid[:, panel.analysis]
    night = np.floor(-panel.day[:rows, panel.analysis] / night_days)
    return {"a": a, "b": b, **{str(k): b * (night == k) for k in range(NIGHTS)}}


def _weights(panel: Panel, masks: dict[str, Array]) -> Array:
    """Return slot weights, (S, W) or one row."""
    if panel.weight is None:
        return np.ones((1, panel.x.shape[1]))
    told = np.isfinite(panel.weight)
    weight = panel.weight if told.all() else _filled(panel.weight, told, masks)
    return np.where(_some_in_both(panel, weight, masks)[:, None], weight, 1.0)


def _filled(weight: Array, told: Array, masks: dict[str, Array]) -> Array:
    """Weights with the series' median positive one where none is told: a null is no vote of 0."""
    usual = np.ones(len(weight))
    valid = np.broadcast_to(np.concatenate([masks["a"], masks["b"]], axis=1) > 0, weight.shape)
    for row in np.flatnonzero(~told.all(axis=1)):
        positive = weight[row][told[row] & valid[row] & (weight[row] > 0)]
        if len(positive):
            usual[row] = np.median(positive)
    return np.where(told, weight, usual[:, None])


def _some_in_both(panel: Panel, weight: Array, masks: dict[str, Array]) -> Array:
    """Whether the slots of both windows weigh more than nothing, (S,)."""
    total_a = np.sum(weight[:, panel.reference] * masks["a"], axis=1)
    total_b = np.sum(weight[:, panel.analysis] * masks["b"], axis=1)
    both: Array = (total_a > 0) & (total_b > 0)
    return both


def _weighted_mean(x: Array, weight: Array) -> tuple[Array, Array]:
    total = np.sum(weight, axis=1)
    safe = np.where(total > 0, total, 1.0)
    mean = np.vecdot(weight, x) / safe
    squares = np.vecdot(weight, weight)
    kish = total * total / np.where(squares > 0, squares, 1.0)
    return np.where(total > 0, mean, np.nan), kish


def _labels(panel: Panel, masks: dict[str, Array]) -> Columns:
    per_slot = {
        "a": "labels_a",
        "b": "labels_b",
        **{str(k): f"night_labels_{k}" for k in range(NIGHTS)},
    }
    total = {"b": "labels_week", "0": "labels_night"}
    if panel.weight is None:
        names = (*per_slot.values(), *total.values())
        return {name: np.full(len(panel.x), np.nan) for name in names}
    told = np.isfinite(panel.weight)
    weight = np.where(told, panel.weight, 0.0)
    known = _some_in_both(panel, weight, masks)
    columns: Columns = {}
    for name, mask in masks.items():
        part = panel.reference if name == "a" else panel.analysis
        labels, slots = np.sum(weight[:, part] * mask, axis=1), np.sum(told[:, part] * mask, axis=1)
        untold = (slots == 0) & (np.sum(mask, axis=1) > 0)
        labels = np.where(untold, np.nan, labels)
        columns[per_slot[name]] = labels / np.where(slots > 0, slots, 1.0)
        if name in total:
            columns[total[name]] = labels
    return {name: np.where(known, value, np.nan) for name, value in columns.items()}
