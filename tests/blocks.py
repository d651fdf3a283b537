"""Blocks of series for tests, and an audit of values that needs no file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from calhard.assess.block import Rules, assess_block
from calhard.assess.columns import to_columns
from calhard.assess.correlation import CorrelationSketch
from calhard.assess.windows import Clock
from calhard.judge.batch import judge_batch
from calhard.judge.evidence import decide, evidence_batch
from calhard.judge.ruling import Ruling, ScoreSketch, fit_priors
from calhard.plan import AuditPlan
from calhard.schema import HEADS, MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR
from calhard.series import SeriesBlock

AS_OF = 1_780_272_000_000_000
"""2026-06-01 00:00 UTC."""
HOUR, DAY = MICROSECONDS_PER_HOUR, MICROSECONDS_PER_DAY
BLOCK_VALUES = 2**17


def block(values, *, spacing=HOUR, metric="aece", first=0, samples=None, timestamps=None):
    """Return a block of one metric; ``values`` (S, n) end at AS_OF."""
    size, n = values.shape
    stamps = AS_OF - spacing * np.arange(n - 1, -1, -1) if timestamps is None else timestamps
    return SeriesBlock(
        tuple(f"m{i:06d}" for i in range(first, first + size)),
        ("c",) * size,
        np.arange(size + 1, dtype=np.int64) * n,
        np.tile(np.asarray(stamps, np.int64), size),
        {metric: np.ascontiguousarray(values, np.float64).ravel()},
        None if samples is None else np.tile(samples, size).astype(np.float64),
        np.zeros(size, np.bool_),
        {},
        np.full(size, -1, np.int64),
    )


@dataclass(frozen=True)
class Audited:
    """What an audit of some series says: one row each."""

    evidence: pa.Table
    candidates: pa.Table
    p: np.ndarray
    q: np.ndarray
    factors: np.ndarray
    plan: AuditPlan

    @property
    def alarmed(self):
        """Which series are confirmed changes, for the worse or the better."""
        rule = self.plan.regression
        return (self.q <= rule.fdr_level) & (self.p <= rule.max_p)

    def column(self, name):
        return np.array(self.evidence[name].to_pylist(), dtype=object)

    def kinds(self):
        return dict(
            zip(
                self.candidates["model_id"].to_pylist(),
                self.candidates["kind"].to_pylist(),
                strict=True,
            )
        )


def audit_blocks(blocks, metrics=("aece",), plan=None, clock=None):
    """Audit blocks as one fleet, in this process, without files."""
    plan = AuditPlan() if plan is None else plan
    catalogue = plan.metric_catalogue()
    chosen = {name: catalogue[name] for name in metrics}
    clock = Clock.of(plan, AS_OF) if clock is None else clock
    rules = Rules(
        clock, chosen, frozenset(HEADS), plan.windows.min_reference, plan.windows.min_analysis
    )
    sketch = CorrelationSketch.zero(len(chosen))
    assessed = [assess_block(b, rules, sketch) for b in blocks]
    ruling = Ruling(plan, clock, chosen, fit_priors(sketch, len(chosen)))
    scores = ScoreSketch.zero(len(chosen))
    judged = [judge_batch(g, to_columns(s), ruling, scores) for g, s in assessed]
    verdict = decide(judged, scores.factors(), plan.regression)
    parts, start = [], 0
    for (groups, _), batch in zip(assessed, judged, strict=True):
        stop = start + batch.num_rows
        parts.append(evidence_batch(groups, batch, verdict.part(start, stop), ruling))
        start = stop
    return Audited(
        pa.concat_tables([p.table for p in parts]),
        pa.concat_tables([p.candidates for p in parts]),
        verdict.p,
        verdict.q,
        scores.factors(),
        plan,
    )


def window_clock(n, analysis, spacing=HOUR):
    """Return a clock whose windows hold ``n − analysis`` and ``analysis`` slots."""
    return Clock(
        AS_OF, AS_OF - n * spacing, AS_OF - analysis * spacing, AS_OF - DAY, None, None, 1_000
    )


def audit_values(values, analysis, *, spacing=HOUR, metric="aece", plan=None, level=0.2, sd=0.002):
    """Audit series given in sd, shape (S, n), the last ``analysis`` slots being judged."""
    size, n = values.shape
    step = max(BLOCK_VALUES // n, 1)
    parts = [
        block(level + sd * values[i : i + step], spacing=spacing, metric=metric, first=i)
        for i in range(0, size, step)
    ]
    return audit_blocks(parts, (metric,), plan, window_clock(n, analysis, spacing))
