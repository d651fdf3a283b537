"""What the runbook says of a symptom: recommendations in words; nothing here is carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calhard.report.cases import RANK, SEVERITY, Trouble


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, how to see that it helped, and what to do if it did not."""

    action: str
    verify: str = ""
    otherwise: str = ""


RECALIBRATE = "trigger recalibration"
ON_SLO = {
    "aece": Advice(
        "raise the class's confidence threshold by the amount that brings AECE − τ back to 0; "
        "allow 1–2 hours",
        "AECE measured again is falling, without side effects",
        "set the threshold back after 2 hours and escalate",
    ),
    "dece": Advice(
        f"{RECALIBRATE} with updated parameters; allow 30 minutes",
        "DECE is falling, the distribution is aligned and the bins are stable",
        "go back to the previous model and escalate after 30 minutes",
    ),
    "alpha": Advice(RECALIBRATE, "α is back in its band", "escalate"),
    "clamp_rate": Advice(
        "monitor and wait 2 hours, looking every 15 minutes at the classes that clamp most",
        "the clamp rate is falling within 2 hours",
        "recalibrate; escalate above 20 %",
    ),
    "score_range_violations": Advice(
        "roll back to the previous model at once",
        "all scores are in range, metrics at their baseline and stable for 1 hour",
        "disable scoring and escalate",
    ),
    "mask_mismatch_count": Advice(
        "alert the on-call engineer and investigate the data pipeline before anything else"
    ),
}
"""By the metric whose SLO is broken."""
BINS_FAIL = Advice(
    "escalate to a human; no automation", "the bins are documented and the cause is found"
)
BINS_WARN = Advice("increase monitoring for 24 hours")
FAILURE = Advice("alert the on-call engineer of the data pipeline; never roll back on missing data")
ESCALATE = Advice("escalate to the technical team with this evidence; no automatic change")
WAIT = Advice("monitor and wait; take it to the weekly review if it stays")
REVIEW = Advice("take it to the weekly review")
OWNER = Advice("ask the model's owner: the runbook has no rule for this metric's SLO")


def advice(troubles: Sequence[Trouble], most: int = 3) -> list[Advice]:
    """Return what the runbook says of an incident's symptoms, the worst first, each once."""
    return list(dict.fromkeys(_of(trouble) for trouble in troubles))[:most]


def _of(trouble: Trouble) -> Advice:
    metric, regression = trouble.key[2], trouble.regression
    if trouble.violations:
        return _of_slo(metric, trouble)
    if regression is None:
        return WAIT
    if regression["regression_type"] == "MetricFailure":
        return FAILURE
    if RANK[SEVERITY[regression["severity"]]] >= RANK["severe"]:
        return ESCALATE
    return REVIEW if regression["severity"] == "minor" else WAIT


def _of_slo(metric: str, trouble: Trouble) -> Advice:
    if metric == "merged_bin_rate":
        failed = any(row["severity"] == "critical" for row in trouble.violations)
        return BINS_FAIL if failed else BINS_WARN
    return ON_SLO.get(metric, OWNER)
