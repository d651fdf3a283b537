"""The section of `calhard measure`."""

import pytest

from calhard.errors import ConfigError
from calhard.plan import AuditPlan

TABLE = "calibration.hardening"


def test_c_hat_is_that_of_the_last_override_that_matches():
    plan = AuditPlan.from_text(f"""
        [{TABLE}.measure]
        c_hat = 2.0
        [[{TABLE}.overrides]]
        model = "a*"
        c_hat = 2.5
        [[{TABLE}.overrides]]
        class = "rare"
        c_hat = 3.0
    """)
    models, classes = ("b", "a", "a", "b"), ("x", "x", "rare", "rare")
    assert plan.c_hats_for(models, classes).tolist() == [2.0, 2.5, 3.0, 3.0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("clamp_low = 0.9999", "clamp_low: 0.9999 does not lie below clamp_high 0.999"),
        ('extras = ["ecce", "ecce"]', "extras: a statistic stands twice"),
        ("min_bin = 0", "min_bin"),
        ('whole_model = "mean"', "whole_model"),
    ],
)
def test_what_cannot_be_is_told(line, told):
    with pytest.raises(ConfigError, match=told):
        AuditPlan.from_text(f"[{TABLE}.measure]\n{line}")


def test_how_a_history_was_measured_does_not_change_the_nights_hash():
    other = AuditPlan.from_text(f"[{TABLE}.measure]\nmin_bin = 5")
    assert other.sha256() == AuditPlan().sha256()
