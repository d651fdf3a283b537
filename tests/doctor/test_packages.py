"""Packages that are missing or too old are wrong, with what installs them."""

from importlib.metadata import version

import numpy as np

from calhard.doctor.finding import State
from calhard.doctor.packages import _python, dependencies, numbers, packages


def judged(*needed):
    return [(found.name, found.state, found.remedy) for found in dependencies(needed)]


def test_everything_here_is_well():
    found = {each.name: each for each in packages()}
    assert {"python", "numpy", "scipy", "pyarrow", "pydantic", "click"} <= set(found)
    assert found["numpy"].told == np.__version__
    assert all(each.state != State.WRONG for each in found.values())


def test_a_package_that_is_missing_or_too_old_is_wrong():
    here = version("numpy")
    assert judged("numpy>=2.1", "no-such-package-99>=3", "numpy>=99.1") == [
        ("numpy", State.OK, None),
        ("no-such-package-99", State.WRONG, "pip install 'no-such-package-99>=3'"),
        ("numpy", State.WRONG, "pip install -U 'numpy>=99.1'"),
    ]
    assert [found.told for found in dependencies(["numpy>=99"])] == [f"{here} is older than 99"]


def test_what_extras_need_is_not_asked_for():
    assert judged('cupy-cuda12x>=13.3; extra == "cuda12"') == []


def test_versions_are_compared_by_their_numbers():
    assert numbers("2.10") > numbers("2.9.1")
    assert numbers("2.1rc1") == (2, 1)
    assert numbers("0+unknown") == (0,)
    assert numbers("unknown") == ()


def test_a_python_that_is_too_old_is_wrong():
    assert _python((3, 10)).state == State.WRONG
    assert _python((3, 11)).state == State.OK
