"""The same numbers on other arrays than NumPy's, and what is said where there is no card."""

from importlib.util import find_spec

import array_api_strict
import numpy as np
import pyarrow as pa
import pytest

from calhard.errors import ConfigError
from calhard.measure import measured
from calhard.measure.device import array_namespace
from calhard.measure.measured import measure_rows
from calhard.measure.periods import Period
from calhard.measure.rows import USED
from calhard.measure.settings import Settings
from calhard.measure.tables import EXTRAS
from calhard.plan import AuditPlan, Measure
from tests.measure.made import DAY, fresh, rows_of

PLAN = AuditPlan(measure=Measure(extras=tuple(EXTRAS)))


def fleet():
    rng = np.random.default_rng(11)
    size, keys = 3_000, fresh()
    score = rng.random(size)
    rows = rows_of(
        keys,
        model=[f"m{i}" for i in rng.integers(0, 6, size)],
        class_=[f"c{i}" for i in rng.integers(0, 2, size)],
        timestamp=rng.integers(0, 2 * DAY, size),
        score=score,
        label=(rng.random(size) < score**1.3).astype(float),
        state=[USED] * size,
    )
    return rows, keys


def check_alike(found, expected):
    for name in ("history", "bins"):
        mine, theirs = getattr(found, name), getattr(expected, name)
        assert mine.schema == theirs.schema
        for column in mine.schema:
            a, b = (t[column.name].combine_chunks() for t in (mine, theirs))
            if pa.types.is_floating(column.type):
                assert a.is_null().equals(b.is_null())
                numbers = [x.fill_null(0).to_numpy() for x in (a, b)]
                np.testing.assert_allclose(*numbers, rtol=1e-9, atol=1e-9, err_msg=column.name)
            else:
                assert a.equals(b), column.name


def test_arrays_of_another_namespace_give_the_same_history(monkeypatch):
    rows, keys = fleet()
    expected = measure_rows(rows, keys, Settings(Period.parse("1d"), PLAN))
    monkeypatch.setattr(measured, "array_namespace", lambda _: array_api_strict)
    check_alike(measure_rows(rows, keys, Settings(Period.parse("1d"), PLAN)), expected)


@pytest.mark.gpu
def test_a_card_gives_the_same_history():
    cupy = pytest.importorskip("cupy", reason="needs cupy and an NVIDIA card")
    if not cupy.cuda.is_available():
        pytest.skip("needs an NVIDIA card")
    rows, keys = fleet()
    expected = measure_rows(rows, keys, Settings(Period.parse("1d"), PLAN))
    check_alike(measure_rows(rows, keys, Settings(Period.parse("1d"), PLAN, "gpu")), expected)


@pytest.mark.skipif(find_spec("cupy") is not None, reason="CuPy is installed")
def test_without_cupy_the_remedy_is_told():
    with pytest.raises(ConfigError, match=r"CuPy is not installed; pip install .* --device cpu"):
        array_namespace("gpu")
