"""A change of level or trend, told from a series' own values where the audit's heads cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calhard.findings.severity import REGRESSION_SCALE, regression_severity
from calhard.judge.selection import DRIFT, JUMP, is_worse
from calhard.schema import Metric
from calhard.service.constant import Move, certain_move, first_move, is_two_constants
from calhard.service.instants import instant
from calhard.service.results import DetectedRegression
from calhard.service.stream import Stream
from calhard.service.timeline import LEAST_ANALYSIS, Timeline

Floats = NDArray[np.float64]

SMALL = 120
"""In a history of fewer samples the windows are too short to date a step by their own split."""


def sound_rows(stream: Stream, name: str) -> NDArray[np.int64]:
    """Return the samples that report a metric with a finite value within its range."""
    metric, values = stream.plan.metric_catalogue()[name], stream.reported()[name]
    inside = np.isfinite(values) & (values >= metric.low) & (values <= metric.high)
    return np.flatnonzero(inside)


def from_constants(stream: Stream, line: Timeline) -> tuple[list[DetectedRegression], set[str]]:
    """Return moves of metrics that had never moved, and those of which only the SLO can judge."""
    found: list[DetectedRegression] = []
    constant: set[str] = set()
    for name, values in stream.reported().items():
        metric, rows = stream.plan.metric_catalogue()[name], sound_rows(stream, name)
        sound = values[rows]
        place = first_move(sound)
        enough = stream.plan.windows.min_reference <= place <= len(sound) - LEAST_ANALYSIS
        if metric.is_count or not enough:
            continue
        move = certain_move(sound, place, metric, stream.bound(name))
        if move is not None:
            found.append(_moved(stream, metric, move, float(sound[0]), line, int(rows[place])))
        if move is not None or is_two_constants(sound, place):
            constant.add(name)
    return found, constant


def _moved(
    stream: Stream, metric: Metric, move: Move, base: float, line: Timeline, row: int
) -> DetectedRegression:
    kind, seen = DRIFT if move.gradual else JUMP, instant(int(line.real[-1]))
    changed = np.array([move.change])
    worse = bool(is_worse(metric.direction, np.array([kind], dtype=object), changed)[0])
    return DetectedRegression(
        metric.name,
        kind,
        severity_of(stream, metric, kind, np.inf, move.change),
        "worse" if worse else "better",
        seen,
        seen,
        instant(int(line.real[row])),
        base,
        base + move.change,
        move.change,
        None,
        0.0,
        f"it moved by {move.change:+.4g} from a value that had never changed",
    )


def severity_of(stream: Stream, metric: Metric, kind: str, effect: float, change: float) -> str:
    """Return the severity that the audit gives such a change."""
    level = regression_severity(
        np.array([effect]),
        np.array([change]),
        np.array([metric.importance]),
        np.array([kind], dtype=object),
        np.array([stream.bound(metric.name)]),
    )
    return REGRESSION_SCALE[int(level[0])]


def step_or_ramp(stream: Stream, found: DetectedRegression, line: Timeline) -> DetectedRegression:
    """Name a jump or drift of a small history by what explains its values better, and measure it.

    The audit's split leaves 10 slots on either side and its line goes through everything, so that
    there a young step looks like a ramp, and a young ramp like a step. Here a step that leaves 3
    and a ramp that begins anywhere compete; the smaller residual sum of squares decides, as there.
    """
    rows = sound_rows(stream, found.metric)
    if found.regression_type not in {JUMP, DRIFT} or not line.own or len(rows) >= SMALL:
        return found
    values = stream.reported()[found.metric][rows]
    (step, step_squares), (ramp, ramp_squares) = best_step(values), best_ramp(values)
    kind, place = (JUMP, step) if step_squares <= ramp_squares else (DRIFT, ramp)
    if kind == DRIFT == found.regression_type:
        return found
    base = float(np.mean(values[: max(place, 1)]))
    current = float(np.mean(values[step:] if kind == JUMP else values[-LEAST_ANALYSIS:]))
    spread = float(np.std(values[:place], ddof=1)) if place > 1 else 0.0
    change = current - base
    if change * (found.change or 0.0) <= 0:
        return found  # two stories: the audit's stands
    effect = change / spread if spread > 0 else None
    size = "" if effect is None else f" ({effect:+.1f} sd)"
    metric = stream.plan.metric_catalogue()[found.metric]
    return replace(
        found,
        regression_type=kind,
        severity=severity_of(stream, metric, kind, effect or np.inf, change),
        onset=instant(int(line.real[rows[place]])),
        baseline_value=base,
        current_value=current,
        change=change,
        effect_size=effect,
        detail=f"the {'level' if kind == JUMP else 'trend'} moved it by {change:+.4g}{size}",
    )


def best_step(values: Floats, margin: int = LEAST_ANALYSIS) -> tuple[int, float]:
    """Return the split with the least squares about the means of its sides, and those squares.

    Parameters
    ----------
    values : float64, shape (n,); n ≥ 2·margin
    """
    centred = values - np.mean(values)
    k = np.arange(margin, len(values) - margin + 1)
    before = np.cumsum(centred)[k - 1]
    gain = before * before * len(values) / (k * (len(values) - k))
    best = int(np.argmax(gain))
    return int(k[best]), float(np.sum(centred * centred) - gain[best])


def best_ramp(values: Floats, margin: int = LEAST_ANALYSIS) -> tuple[int, float]:
    """Return where a level turns into a straight ramp with the least squares, and those squares.

    Source: Hinkley 1971 (two-phase regression).

    Parameters
    ----------
    values : float64, shape (n,); n ≥ 2·margin
    """
    slot = np.arange(len(values), dtype=np.float64)
    knot = slot[: len(values) - margin]
    rise = np.maximum(slot[None, :] - knot[:, None], 0.0)
    rise -= np.mean(rise, axis=1)[:, None]
    centred = values - np.mean(values)
    gain = (rise @ centred) ** 2 / np.sum(rise * rise, axis=1)
    best = int(np.argmax(gain))
    return best, float(np.sum(centred * centred) - gain[best])
