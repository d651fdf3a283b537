"""A dense source is silent by the rows that it sends, not by the slots they become."""

import numpy as np
import pytest

from tests.blocks import AS_OF, HOUR, audit_blocks, block

MINUTE = HOUR // 60
ROWS = 40 * 24 * 12
RNG = np.random.default_rng(5)


def audited(values, silent):
    """Audit 5-minute series that have sent nothing for ``silent`` minutes."""
    stamps = AS_OF - silent * MINUTE - 5 * MINUTE * np.arange(ROWS - 1, -1, -1)
    fine = block(np.atleast_2d(values), timestamps=stamps)
    return audit_blocks([fine]).evidence.to_pylist()


@pytest.mark.parametrize(
    ("minutes", "status"), [(0, "ok"), (15, "ok"), (16, "failed"), (175, "failed")]
)
def test_a_5_minute_source_is_stale_after_three_of_its_rows(minutes, status):
    (row,) = audited(0.02 + 0.001 * RNG.standard_normal(ROWS), minutes)
    assert (row["status"], row["spacing_seconds"]) == (status, 3600.0)
    if status == "failed":
        assert row["reason"] == f"no sample for {minutes / 60:.6g} h; one is due every 0.0833333 h"


def test_a_metric_reported_in_every_sixth_row_of_a_dense_source_is_due_every_half_hour():
    values = np.full((2, ROWS), np.nan)
    values[:, 5::6] = 0.02 + 0.001 * RNG.standard_normal((2, ROWS // 6))
    values[1, -36:] = np.nan
    row, late = audited(values, 0)
    assert (row["status"], late["status"]) == ("ok", "failed")
    assert late["reason"] == "no sample for 3 h; one is due every 0.5 h"
    row, _ = audited(values, 75)
    assert row["status"] == "ok"


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_source_beside_a_dense_one_keeps_its_own_spacing(ahead):
    dense = np.full(ROWS, np.nan)
    dense[11::12] = 0.02 + 0.001 * RNG.standard_normal(ROWS // 12)
    both = np.stack([0.02 + 0.001 * RNG.standard_normal(ROWS), dense])
    found = audited(both[::-1] if ahead else both, 60)
    hourly = found[0] if ahead else found[1]
    assert (hourly["status"], hourly["spacing_seconds"]) == ("ok", 3600.0)
