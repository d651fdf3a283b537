"""The smallest change that would have been noticed is about what a planted one shows."""

import numpy as np
import pytest

from calhard.simulate.noise import healthy_series
from tests.blocks import DAY, audit_values, column

SIZE, SHIFTED, N, ANALYSIS = 2_000, 80, 35, 7


def healthy(phi):
    """Daily series of sd 1."""
    rng = np.random.default_rng(5)
    return healthy_series(rng, SIZE, N, phi=phi, noise="normal", slots_per_day=1)


@pytest.mark.parametrize("phi", [0.0, 0.3])
def test_of_daily_series_a_step_of_that_size_is_found_about_8_times_in_10(phi):
    x = healthy(phi)
    least = np.median(detectable(x))
    x[:SHIFTED, -ANALYSIS:] += least
    audited = audit_values(x, ANALYSIS, spacing=DAY)
    q, p = (column(audited, name)[:SHIFTED].astype(float) for name in ("q_value", "p_value"))
    assert 0.6 <= np.mean((q <= 0.05) & (p <= 0.001)) <= 0.9


def test_of_daily_series_it_does_not_hang_on_how_seven_values_scatter():
    least = detectable(healthy(0.3))
    assert np.percentile(least, 95) / np.percentile(least, 5) < 2.2


def detectable(x):
    """The smallest detectable change of every series, in sd."""
    audited = audit_values(x, ANALYSIS, spacing=DAY)
    return column(audited, "smallest_detectable").astype(float) / 0.002
