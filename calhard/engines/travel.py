"""What comes of a call, as it travels from a worker to the driver: bytes that can be read there."""

from __future__ import annotations

import pickle
import traceback
from typing import cast

from calhard.engines.executor import Call, Kind, Outcome
from calhard.errors import CalhardError


def computed(call: Call) -> bytes:
    """Return the pickled outcome of a call, computed here."""
    outcome = Outcome.of(call)
    if outcome.error is not None:
        return told(outcome)
    try:
        return pickle.dumps(outcome)
    except Exception as e:  # noqa: BLE001  # pickle raises anything
        return told(Outcome(Kind.ERROR, error=e))


def told(outcome: Outcome) -> bytes:
    """Return a pickled outcome with an error; one that cannot travel is told in words."""
    error = cast("Exception", outcome.error)
    trace = "".join(traceback.format_exception(error))
    error.add_note("In a worker process:\n" + trace)
    try:
        content = pickle.dumps(outcome)
        pickle.loads(content)  # noqa: S301  # our own; some errors travel one way alone
    except Exception:  # noqa: BLE001  # pickle raises anything
        plain = CalhardError(f"a worker failed with {type(error).__name__}: {error}")
        return pickle.dumps(Outcome(outcome.kind, error=plain))
    return content
