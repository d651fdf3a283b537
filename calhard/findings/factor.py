"""What the models of a fleet incident have in common that the others have not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from calhard_kernels.fdr import bh_q_values

MAX_Q = 0.05
NAMED = 3


def suspected_factor(models: Sequence[str], tags: pa.Table) -> str:
    """Return the over-represented attributes, ``model_version = 7 (38 of the 40 affected …)``.

    Hypergeometric tail of each (tag, value) among the affected models, Benjamini–Hochberg over all
    pairs of the fleet; those with q ≤ 0.05, the smallest p first and three at most; "" where there
    is none.

    Parameters
    ----------
    tags : ``model_id`` and one column per tag, one row per model of the fleet
    """
    from scipy.stats import hypergeom  # takes longer to load than a night's reading needs

    hits = tags.filter(pc.is_in(tags["model_id"], value_set=pa.array(models, pa.string())))
    found: list[tuple[float, str, str, int, int]] = []
    tests = 0
    for name in tags.schema.names:
        if name == "model_id":
            continue
        everywhere = _counts(tags[name])
        tests += len(everywhere)
        for value, count in _counts(hits[name]).items():
            total = everywhere[value]
            tail = float(hypergeom.sf(count - 1, tags.num_rows, total, hits.num_rows))
            found.append((tail, name, value, count, total))
    found.sort(key=lambda pair: pair[:3])
    q = bh_q_values(np.array([pair[0] for pair in found]), tests)
    return "; ".join(
        f"{name} = {value} ({count} of the {hits.num_rows} affected models; "
        f"{total} of all {tags.num_rows})"
        for (_, name, value, count, total), q_value in list(zip(found, q, strict=True))[:NAMED]
        if q_value <= MAX_Q
    )


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    pairs = column.drop_null().value_counts().to_pylist()
    return {pair["values"]: pair["counts"] for pair in pairs}
