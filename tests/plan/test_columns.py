"""The columns that a configuration may map: those of histories and those of predictions."""

import pytest

from calhard.errors import ConfigError
from calhard.plan import AuditPlan


@pytest.mark.parametrize("name", ["score", "label", "weight", "mask", "example_id"])
def test_the_columns_of_predictions_can_be_mapped(name):
    text = f'[calibration.hardening.columns]\n{name} = "own"'
    assert AuditPlan.from_text(text).columns == {name: "own"}
    assert AuditPlan(columns={name: "own"}).columns == {name: "own"}


def test_a_column_that_neither_knows_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match=r'line 2: .*scores.*"score"'):
        AuditPlan.from_text('[calibration.hardening.columns]\nscores = "own"')
