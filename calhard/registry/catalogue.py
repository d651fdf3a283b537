"""Reads the registry in bulk: few requests, however many models a fleet has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calhard.sinks.mlflow.errors import MISSING, MlflowFailed

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PAGE = 1_000
"""Models or versions a request; more registered models MLflow does not give at once."""
PAGES = 100
FEW = 5
"""So many models are asked for by name rather than by leafing on."""
VERDICT = "calhard.verdict"
Version = tuple[str, str]
"""A registered model and one of its versions."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered model: the version of every alias, and when it was made.

    ``created`` (ms since 1970) tells it from one of the same name that was deleted: within one
    model MLflow gives no version number twice.
    """

    aliases: Mapping[str, str]
    created: int


Catalogue = Mapping[str, Registered]
"""Registered models by name."""


def read_models(client: MlflowClient, names: Collection[str]) -> Catalogue:
    """Return those registered models that are there.

    Raises
    ------
    MlflowFailed
        The registry does not answer, or not to whom asks.
    """
    found, left, token = dict[str, Registered](), set(names), None
    for _ in range(PAGES):
        page = client.search_registered_models(max_results=PAGE, page_token=token)
        found |= {m.name: registered(m) for m in page if m.name in left}
        left.difference_update(found)
        token = page.token
        if not token or not left:
            return found
        if len(left) <= FEW:
            return found | dict(_one_by_one(client, left))
    return found


def _one_by_one(client: MlflowClient, names: Collection[str]) -> Iterator[tuple[str, Registered]]:
    for name in sorted(names):
        try:
            yield name, registered(client.get_registered_model(name))
        except MlflowFailed as e:
            if e.code not in {MISSING, "INVALID_PARAMETER_VALUE"}:  # no model can be called so
                raise


def registered(model: Any) -> Registered:
    """Return what MLflow says of a registered model."""
    aliases = dict(model.aliases or {})
    return Registered({str(a): str(v) for a, v in aliases.items()}, int(model.creation_timestamp))


def read_verdicts(client: MlflowClient) -> dict[Version, dict[str, str]]:
    """Return the tags of every version that has a verdict.

    Raises
    ------
    MlflowFailed
        The registry does not answer, or not to whom asks.
    """
    found, token = dict[Version, dict[str, str]](), None
    for _ in range(PAGES):
        page = client.search_model_versions(
            f"tags.`{VERDICT}` LIKE '%'", max_results=PAGE, page_token=token
        )
        found |= {(v.name, str(v.version)): dict(v.tags or {}) for v in page}
        token = page.token
        if not token:
            break
    return found
