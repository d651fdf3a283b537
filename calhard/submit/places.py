"""Places that mean the same on every node, and the moment of a night that is looked for here."""

from __future__ import annotations

import re
import time
from pathlib import Path

from calhard.errors import InputError
from calhard.history import History
from calhard.plan import AuditPlan
from calhard.sources import experiment_of, fetched


def everywhere(place: str) -> str:
    """Return a URI or an experiment of MLflow as it is, and a path as an absolute one."""
    if experiment_of(place) is not None:
        return place
    return place if re.match(r"[a-z][a-z0-9+.-]*://", place) else str(Path(place).absolute())


def moment(history: str, plan: AuditPlan) -> int:
    """Return when the newest row of a history became known, µs since 1970 UTC.

    Raises
    ------
    InputError
        The history cannot be read from here.
    """
    try:
        with fetched(history, plan) as source:
            return History.open(source, plan).moment(int(time.time() * 1e6))
    except (InputError, OSError) as e:
        raise InputError(
            f"{e}\nif the cluster alone can read the history, name the audit's moment: --as-of"
        ) from e
