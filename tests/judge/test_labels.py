"""A change of the labels that explains a change of a calibration error closes its gates."""

import numpy as np
import pytest

from calhard.judge.head import Head
from calhard.judge.labels import unless_explained
from calhard.judge.slo import tau

MORE, FEWER = 2_000.0, 300.0
SHIFT = float((tau(np.array([FEWER])) - tau(np.array([MORE])))[0])


def gates(change, before=MORE, after=FEWER):
    """Return which heads stay open at a change of that size."""
    head = Head(*(np.array([value]) for value in (0.0, True, 9.0, change, np.nan)))
    columns = {"labels_a": np.array([before]), "labels_b": np.array([after])}
    names = ("level", "scan", "slope", "variance", "oscillation")
    found = unless_explained(dict.fromkeys(names, head), columns)
    return {name for name in names if found[name].gate[0]}


def test_what_fewer_labels_explain_closes_every_gate_but_the_cycles():
    assert pytest.approx(0.135, abs=0.005) == SHIFT
    assert gates(0.9 * SHIFT) == {"oscillation"}


def test_a_larger_change_or_one_the_other_way_is_no_matter_of_labels():
    everything = {"level", "scan", "slope", "variance", "oscillation"}
    assert gates(1.1 * SHIFT) == everything
    assert gates(-0.5 * SHIFT) == everything


def test_more_labels_explain_a_fall_of_level_but_no_wider_scatter():
    assert gates(-0.5 * SHIFT, before=FEWER, after=MORE) == {"variance", "oscillation"}
    assert "level" in gates(0.5 * SHIFT, before=FEWER, after=MORE)


@pytest.mark.parametrize(("before", "after"), [(2_000.0, 1_001.0), (np.nan, 300.0), (0.0, 300.0)])
def test_labels_that_hardly_changed_or_are_unknown_explain_nothing(before, after):
    assert len(gates(0.001, before, after)) == 5
