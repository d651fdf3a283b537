"""Where a measured history's numbers are computed: NumPy here, or CuPy on a card."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calhard.errors import ConfigError
from calhard_kernels.outcomes import Outcomes

Device = Literal["cpu", "gpu"]
HOST_ROWS = 2**17
"""Rows of whole groups that NumPy measures at once: their arrays stay in the cache."""
DEVICE_ROWS = 2**23
"""The same elsewhere: a launch costs more than a cache saves."""


def array_namespace(device: Device) -> Any:
    """Return NumPy for ``cpu`` and CuPy for ``gpu``.

    Raises
    ------
    ConfigError
        There is no CuPy, or no card that it can use.
    """
    if device == "cpu":
        return np
    try:
        cupy = import_module("cupy")
    except ImportError as e:
        raise ConfigError(
            "device gpu: CuPy is not installed; pip install 'calhard[cuda13]' (or cuda12, as the "
            "driver is), or use --device cpu"
        ) from e
    try:
        cards = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as e:
        raise ConfigError(f"device gpu: no card can be used ({e}); use --device cpu") from e
    if not cards:
        raise ConfigError("device gpu: there is no card; use --device cpu")
    return cupy


def rows_at_once(xp: Any) -> int:
    """Return how many rows a namespace measures at once."""
    return HOST_ROWS if xp is np else DEVICE_ROWS


def moved(o: Outcomes, xp: Any) -> Outcomes:
    """Return outcomes as arrays of a namespace."""
    if xp is np:
        return o
    weight = None if o.weight is None else xp.asarray(o.weight)
    return Outcomes(xp.asarray(o.score), xp.asarray(o.label), weight, xp.asarray(o.offsets))


def to_host(array: Any) -> NDArray[Any]:
    """Return an array of any namespace as one of NumPy."""
    found: NDArray[Any] = array.get() if hasattr(array, "get") else np.asarray(array)
    return found
