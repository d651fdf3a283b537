"""The calibration kernels against the packages that compute one group at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure_peers as peers
from benchmarks.predictions import CLASSES, Fleet
from benchmarks.speed import Line, medians
from calhard.measure.device import HOST_ROWS
from calhard.measure.metrics import metric_values
from calhard.measure.sorting import sort_outcomes
from calhard.plan import Measure
from calhard_kernels.bins import Bins, equal_mass, equal_width
from calhard_kernels.blocks import group_blocks
from calhard_kernels.calibration import calibration_error
from calhard_kernels.outcomes import Outcomes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROWS, GROUPS, ROUNDS = 2_000_000, 200, 5


def kernels(rng: np.random.Generator) -> Iterator[Line]:
    """Every group's metrics at once against loops over the groups."""
    code, score, label = unsorted_rows(rng)
    o = sort_outcomes(code, score, label, None, GROUPS)
    errors = peers.found()
    for name, ece in errors.items():
        _same(name, dece(o), np.array(peers.by_group(ece, o.score, o.label, o.offsets)))
    yield from _presorted(o, errors)
    yield from _any_order(code, score, label, errors)


def unsorted_rows(rng: np.random.Generator) -> tuple[Ints, Floats, Floats]:
    """Group, score and label of rows in order of time.

    No score is rounded: on the borders of bins some of the packages go their own way.
    """
    fleet = Fleet.of(rng, GROUPS // CLASSES)
    code = rng.permutation(np.repeat(np.arange(GROUPS, dtype=np.int32), ROWS // GROUPS))
    score, label = replace(fleet, coarse=np.zeros(GROUPS, dtype=np.bool_)).outcomes(rng, code)
    return code.astype(np.int64), score, label


def dece(o: Outcomes) -> Floats:
    """Return the DECE of every group, without its standard error: what the packages compute."""
    return _error(equal_width(o))


def aece(o: Outcomes) -> Floats:
    """Return the AECE of every group, without its standard error."""
    return _error(equal_mass(o))


def _error(bins: Bins) -> Floats:
    return np.asarray(bins.total(np.abs(bins.gap)) / bins.group_weight)


def all_metrics(o: Outcomes) -> object:
    """Every metric of a history with its standard error, as ``calhard measure`` computes them."""
    c_hat = np.full(GROUPS, 1.5)
    return [
        metric_values(part, equal_mass(part), c_hat[: len(part.n)], Measure())
        for part in group_blocks(o, HOST_ROWS)
    ]


def bincount_dece(o: Outcomes, group: Ints) -> Floats:
    """Return the same DECE by counting every row into its group's bin."""
    place = np.minimum((o.score * peers.BINS).astype(np.int64), peers.BINS - 1)
    place += group * peers.BINS
    gap = np.bincount(place, weights=o.score - o.label, minlength=GROUPS * peers.BINS)
    count = np.bincount(place, minlength=GROUPS * peers.BINS)
    return np.abs(gap.reshape(GROUPS, -1)).sum(axis=1) / count.reshape(GROUPS, -1).sum(axis=1)


def _same(name: str, ours: Floats, theirs: Floats) -> None:
    """Stop where a package computes something else: its time would say nothing."""
    apart = float(np.abs(ours - theirs).max())
    if not apart < 1e-10:
        raise SystemExit(f"{name} is {apart:.3g} away from calhard's DECE")


def _presorted(o: Outcomes, errors: dict[str, peers.Ece]) -> Iterator[Line]:
    group = np.repeat(np.arange(GROUPS), np.diff(o.offsets))
    _same("np.bincount", dece(o), bincount_dece(o, group))
    loops = [_loop(ece, o) for ece in errors.values()]
    work = (
        lambda: bincount_dece(o, group),
        lambda: dece(o),
        lambda: aece(o),
        lambda: calibration_error(o, equal_width(o)),
        lambda: all_metrics(o),
        _loop(peers.many_metrics, o),
        *loops,
    )
    counted, plain, adaptive, error, whole, several, *looped = medians(
        ROUNDS, *work, clock=time.process_time
    )
    where = f"{ROWS:,} rows, {GROUPS} groups, sorted by group and score"
    yield Line("np.bincount", where, counted / ROWS * 1e9, "ns/row", "")
    yield Line("DECE ÷ np.bincount", where, plain / counted, "×", "≤ 2")
    yield Line("AECE ÷ np.bincount", where, adaptive / counted, "×", "≤ 2")
    yield Line("DECE with its standard error", where, error / ROWS * 1e9, "ns/row", "")
    yield Line("all metrics", where, whole / ROWS * 1e9, "ns/row", "")
    times = dict(zip(errors, looped, strict=True))
    yield from _against("DECE", where, times, plain)
    yield from _against("DECE with its standard error", where, times, error)
    yield from _against("all metrics", where, times, whole, gated=False)
    yield Line("five metrics by three libraries ÷ all metrics", where, several / whole, "×", "")


def _any_order(
    code: Ints, score: Floats, label: Floats, errors: dict[str, peers.Ece]
) -> Iterator[Line]:
    """Rows in order of time: calhard sorts them, the loops bring each group's rows together."""

    def collected(ece: peers.Ece) -> Callable[[], object]:
        def run() -> list[float]:
            order = np.argsort(code.astype(np.int16), kind="stable")
            offsets = np.concatenate(([0], np.cumsum(np.bincount(code, minlength=GROUPS))))
            return peers.by_group(ece, score[order], label[order], offsets)

        return run

    def masked(ece: peers.Ece) -> Callable[[], object]:
        return lambda: [ece(score[own], label[own]) for g in range(GROUPS) for own in [code == g]]

    def ordered() -> Outcomes:
        return sort_outcomes(code, score, label, None, GROUPS)

    loops = [*map(collected, errors.values()), *map(masked, errors.values())]
    work = (ordered, lambda: dece(ordered()), lambda: all_metrics(ordered()), *loops)
    sorting, plain, whole, *looped = medians(ROUNDS, *work, clock=time.process_time)
    where = f"{ROWS:,} rows, {GROUPS} groups, in order of time"
    yield Line("sorting by group and score", where, sorting / ROWS * 1e9, "ns/row", "")
    yield Line("sorting and all metrics", where, whole / ROWS * 1e9, "ns/row", "")
    by_order = dict(zip(errors, looped[: len(errors)], strict=True))
    by_mask = dict(zip(errors, looped[len(errors) :], strict=True))
    yield from _against("sorting and DECE", f"{where}; loop: one argsort", by_order, plain)
    yield from _against("sorting and DECE", f"{where}; loop: a mask a group", by_mask, plain)
    yield from _against(
        "sorting and all metrics", f"{where}; loop: a mask a group", by_mask, whole, gated=False
    )


def _loop(metric: Callable[[Floats, Floats], object], o: Outcomes) -> Callable[[], object]:
    return lambda: peers.by_group(metric, o.score, o.label, o.offsets)


def _against(
    what: str, where: str, loops: dict[str, float], taken: float, *, gated: bool = True
) -> Iterator[Line]:
    """How many times as long each package's loop takes; NaN for one that is absent."""
    for name, (_, gate) in peers.PEERS.items():
        ratio = loops.get(name, math.nan) / taken
        yield Line(f"{name} ÷ {what}", where, ratio, "×", gate if gated else "")
