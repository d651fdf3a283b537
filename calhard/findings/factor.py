"""What the models of a fleet incident have in common that the others have not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import hypergeom

from calhard_kernels.fdr import bh_q_values

MAX_Q = 0.05


def suspected_factor(models: Sequence[str], tags: pa.Table) -> str:
    """Return the over-represented attribute, ``model_version = 7 (38 of 40 affected models)``.

    Hypergeometric tail of each (tag, value) among the affected models, Benjamini–Hochberg over all
    pairs; the smallest p with q ≤ 0.05, "" where there is none.

    Parameters
    ----------
    tags : ``model_id`` and one column per tag, one row per model of the fleet
    """
    affected = pc.is_in(tags["model_id"], value_set=pa.array(models, pa.string()))
    hits = tags.filter(affected)
    if not hits.num_rows:
        return ""
    found: list[tuple[str, str, int, int]] = []
    p: list[float] = []
    for name in tags.schema.names:
        if name == "model_id":
            continue
        everywhere = _counts(tags[name])
        for value, count in sorted(_counts(hits[name]).items()):
            tail = hypergeom.sf(count - 1, tags.num_rows, everywhere[value], hits.num_rows)
            found.append((name, value, count, everywhere[value]))
            p.append(float(tail))
    if not found:
        return ""
    best = int(np.argmin(p))
    if bh_q_values(np.array(p))[best] > MAX_Q:
        return ""
    name, value, count, total = found[best]
    return (
        f"{name} = {value} ({count} of the {hits.num_rows} affected models; "
        f"{total} of all {tags.num_rows})"
    )


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    pairs = column.drop_null().value_counts().to_pylist()
    return {pair["values"]: pair["counts"] for pair in pairs}
