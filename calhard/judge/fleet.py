"""A whole fleet judged in memory: the pipeline's statistics without its files and workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.assess.block import Rules, assess_block
from calhard.assess.columns import to_columns
from calhard.assess.correlation import CorrelationSketch
from calhard.assess.windows import Clock
from calhard.judge.batch import judge_batch
from calhard.judge.evidence import FleetVerdict, decide, evidence_batch
from calhard.judge.ruling import Ruling, ScoreSketch, fit_priors
from calhard.series import SeriesBlock

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


@dataclass(frozen=True, slots=True)
class JudgedInMemory:
    """What an audit says of some series, one row each, in the order they were given.

    ``judged`` holds each head's raw p, gate, effect, change and onset; ``candidates`` the evidence
    of those that may be findings; ``factors`` raw λ by metric, cadence and head.
    """

    evidence: pa.Table
    candidates: pa.Table
    judged: pa.Table
    verdict: FleetVerdict
    factors: NDArray[np.float64]
    plan: AuditPlan

    @property
    def alarmed(self) -> NDArray[np.bool_]:
        """Which series have a confirmed change, for the worse or the better, shape (S,)."""
        rule = self.plan.regression
        confirmed: NDArray[np.bool_] = (self.verdict.q <= rule.fdr_level) & (
            self.verdict.p <= rule.max_p
        )
        return confirmed


def judge_fleet(
    blocks: Iterable[SeriesBlock], plan: AuditPlan, metrics: Sequence[str], clock: Clock
) -> JudgedInMemory:
    """Audit blocks as one fleet.

    Parameters
    ----------
    blocks : whole groups, in the order of their keys; at least one
    metrics : names of the metrics that every block holds
    """
    catalogue = plan.metric_catalogue()
    chosen = {name: catalogue[name] for name in metrics}
    rules = Rules.of(plan, chosen, clock)
    sketch = CorrelationSketch.zero(len(chosen))
    assessed = [assess_block(block, rules, sketch) for block in blocks]
    ruling = Ruling(plan, clock, chosen, fit_priors(sketch, len(chosen)))
    scores = ScoreSketch.zero(len(chosen))
    judged = [judge_batch(g, to_columns(s), ruling, scores) for g, s in assessed]
    factors = scores.factors()
    verdict = decide(judged, factors, plan.regression)
    parts, start = [], 0
    for (groups, _), batch in zip(assessed, judged, strict=True):
        stop = start + batch.num_rows
        parts.append(evidence_batch(groups, batch, verdict.part(start, stop), ruling))
        start = stop
    return JudgedInMemory(
        pa.concat_tables([part.table for part in parts]),
        pa.concat_tables([part.candidates for part in parts]),
        pa.Table.from_batches(judged),
        verdict,
        factors,
        plan,
    )
