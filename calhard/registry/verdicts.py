"""A night's verdict on each model: PASS, WARN or FAIL, from the health of its classes."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
VERDICTS = (PASS, WARN, FAIL)
"""From the best to the worst."""
_FAILING = ("CRITICAL", "SEVERE")


def model_verdicts(health: pa.Table) -> dict[str, str]:
    """Return the verdict on every model of a night.

    FAIL: a class is CRITICAL or SEVERE. WARN: one is DEGRADED; or a series is indeterminate or
    failed; or no class is HEALTHY, so that nothing is known to be sound. Else PASS: what could be
    audited is sound; classes too young to audit take nothing from it.

    Parameters
    ----------
    health : `schema.HEALTH`, a row per model and class
    """
    state = health["health"]
    unsound = pc.or_(
        pc.equal(state, "DEGRADED"),
        pc.greater(pc.add(health["indeterminate"], health["failed"]), 0),
    )
    marks = pa.table(
        {
            "model_id": health["model_id"],
            "failing": pc.is_in(state, pa.array(_FAILING)),
            "unsound": unsound,
            "healthy": pc.equal(state, "HEALTHY"),
        }
    )
    columns = ("failing", "unsound", "healthy")
    found = marks.group_by("model_id", use_threads=False).aggregate([(c, "any") for c in columns])
    rows = zip(
        *(found[n].to_pylist() for n in ("model_id", *(f"{c}_any" for c in columns))), strict=True
    )
    return {
        model: FAIL if failing else WARN if unsound or not healthy else PASS
        for model, failing, unsound, healthy in rows
    }


def worst(verdicts: Iterable[str]) -> str:
    """Return the worst of some verdicts, at least one."""
    return max(verdicts, key=VERDICTS.index)
