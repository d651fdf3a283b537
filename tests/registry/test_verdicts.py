"""What of a night's health counts as PASS, WARN and FAIL."""

import pytest

from calhard.registry.verdicts import model_verdicts, worst
from tests.registry.nights import health


@pytest.mark.parametrize(
    ("classes", "verdict"),
    [
        ("HEALTHY", "PASS"),
        ("HEALTHY,HEALTHY,INSUFFICIENT", "PASS"),
        ("INSUFFICIENT", "WARN"),
        ("INSUFFICIENT,INSUFFICIENT", "WARN"),
        ("HEALTHY,DEGRADED", "WARN"),
        ("HEALTHY,INSUFFICIENT+1", "WARN"),
        ("HEALTHY,HEALTHY-1", "WARN"),
        ("HEALTHY,SEVERE", "FAIL"),
        ("CRITICAL", "FAIL"),
        ("DEGRADED,CRITICAL,INSUFFICIENT", "FAIL"),
    ],
)
def test_the_worst_class_decides_and_nothing_known_is_no_pass(classes, verdict):
    assert model_verdicts(health(m=classes, other="HEALTHY")) == {"m": verdict, "other": "PASS"}


def test_an_empty_night_has_no_verdict():
    assert model_verdicts(health()) == {}


def test_the_worst_of_some_verdicts():
    assert worst(["PASS", "FAIL", "WARN"]) == "FAIL"
    assert worst(["PASS", "WARN"]) == "WARN"
