"""The policy of a night as params: every key of its configuration that decides what is found."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from calhard.plan.write import TABLE, toml_value
from calhard.sinks.mlflow.names import LONGEST_PARAM, cut, key_of

ELSEWHERE = {"fleet", "mlflow", "routes"}
"""What says where results go, not what they are."""
MOST = 200
LEFT_OUT = "calhard.params_left_out"


def policy_params(configuration: str) -> dict[str, str]:
    """Return the keys of an effective configuration, dotted, and their values as TOML writes them.

    Secrets are masked in it already. What MLflow would cut is cut here, and says so.
    """
    settings: Any = tomllib.loads(configuration)
    for step in TABLE:
        settings = settings.get(step, {})
    found = dict(_flat("", {k: v for k, v in settings.items() if k not in ELSEWHERE}))
    first = dict(list(found.items())[:MOST])
    return first if len(first) == len(found) else first | {LEFT_OUT: str(len(found) - MOST)}


def _flat(path: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{path}{name}.", value)
        else:
            text = value if isinstance(value, str) else toml_value(value)
            yield key_of(f"{path}{name}"), cut(text, LONGEST_PARAM)
