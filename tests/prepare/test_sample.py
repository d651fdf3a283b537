"""Keys that are drawn to tell where to cut."""

import numpy as np
import pytest

from calhard.history.account import RowAccount
from calhard.history.ids import Keys
from calhard.measure.pieces import Piece, ScatterTask
from calhard.plan import AuditPlan
from calhard.prepare.columns import joined_schema
from calhard.prepare.rows import PrepareReading, read_placed
from calhard.prepare.source import HistorySource
from calhard.prepare.tasks import Sample
from tests.prepare.made import lay_out, rows


@pytest.fixture(params=range(3))
def reading(request, tmp_path):
    """Files of several kinds, some rows of which have no place."""
    rng = np.random.default_rng(request.param)
    opened = HistorySource.open(lay_out(rng, rows(rng, size=600), tmp_path / "h"), AuditPlan())
    columns = tuple(opened.columns({}, {}))
    named = [(f.name, c) for f, c in zip(opened.files, columns, strict=True)]
    schema = joined_schema(named, canonical=False)
    origins = tuple(range(len(columns)))
    return PrepareReading(
        opened.filesystem, opened.files, opened.plans, columns, origins, schema, None
    )


def placed(reading):
    keys = Keys()
    for index in range(len(reading.files)):
        for part in read_placed(reading, index, keys, RowAccount()):
            for code, stamp in zip(part.pair.tolist(), part.timestamp.tolist(), strict=True):
                yield (*keys.pairs[code], stamp)


def draw(reading, step, number=0):
    pieces = tuple(Piece(index, None, 1) for index in range(len(reading.files)))
    return Sample(reading, step)(ScatterTask(number, pieces))


def test_keys_are_drawn_of_rows_that_have_a_place_about_as_many_as_were_asked_for(reading):
    there = list(placed(reading))
    drawn = [draw(reading, 3, number) for number in range(20)]
    assert {key for keys in drawn for key in keys} <= set(there)
    expected = len(there) / 3
    assert abs(np.mean([len(keys) for keys in drawn]) - expected) < 0.1 * expected
    share = {m: np.mean([m == model for model, _, _ in there]) for m, _, _ in there}
    for model, expected in share.items():
        found = np.mean([key[0] == model for keys in drawn for key in keys])
        assert abs(found - expected) < 0.05


def test_the_same_task_always_draws_the_same_keys(reading):
    assert draw(reading, 5) == draw(reading, 5)
    assert draw(reading, 5) != draw(reading, 5, number=1)


def test_every_row_may_be_drawn(reading):
    drawn = {key for number in range(40) for key in draw(reading, 2, number)}
    assert drawn == set(placed(reading))
