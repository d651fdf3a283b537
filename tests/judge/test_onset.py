"""When something began: not without a change."""

import numpy as np

from tests.blocks import DAY, audit_blocks, block


def test_a_daily_rate_that_was_always_beyond_its_bound_has_no_onset():
    audited = audit_blocks(
        [block(np.full((1, 35), 0.5), spacing=DAY, metric="clamp_rate")], ("clamp_rate",)
    )
    (row,) = audited.candidates.to_pylist()
    assert (row["week_value"], row["week_p"]) == (0.5, 0.0)
    assert row["onset"] is None


def test_a_daily_rate_that_moved_is_dated_within_the_analysis_window():
    rates = np.full((1, 35), 0.05) + 1e-3 * np.random.default_rng(0).standard_normal((1, 35))
    rates[:, -5:] += 0.2
    audited = audit_blocks([block(rates, spacing=DAY, metric="clamp_rate")], ("clamp_rate",))
    (row,) = audited.candidates.to_pylist()
    assert -6 <= (row["onset"] - row["last_timestamp"]).days <= 0
