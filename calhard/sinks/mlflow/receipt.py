"""What is kept beside the nights of what MLflow has: a receipt per night and server."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from calhard.plan.publishing import Mlflow
from calhard.registry.kept import get, put
from calhard.sinks.mlflow.experiment import name_of, slug
from calhard.store import NightReader, Out, place_of, published
from calhard.store.place import Place

FOLDER = ".mlflow"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A night's run.

    Attributes
    ----------
    server : address without credentials
    experiment : its name
    is_other : the run is of another audit of the night, which stays
    """

    night: str
    revision: int
    manifest_sha256: str
    server: str
    experiment: str
    experiment_id: str
    run_id: str
    is_other: bool = False

    def covers(self, night: NightReader) -> bool:
        """Whether it is of this very night."""
        told = (self.night, self.revision, self.manifest_sha256)
        return told == (night.night, night.revision, night.manifest_sha256)


def keep_receipt(out: Out, receipt: Receipt) -> None:
    """Put a receipt in the place of an earlier one.

    Raises
    ------
    PublishError
        The disk or the store refuses.
    """
    place = _place(out, receipt.night, receipt.server, receipt.experiment)
    put(place, json.dumps(asdict(receipt), indent=2, sort_keys=True).encode())


def receipt_of(out: Out, night: NightReader, server: str, experiment: str) -> Receipt | None:
    """Return the receipt of a night; None where it was not sent there, or is unreadable."""
    content = get(_place(out, night.night, server, experiment))
    receipt = None if content is None else _read(content)
    return receipt if receipt is not None and receipt.covers(night) else None


def waiting(out: Out, name: str, server: str, settings: Mlflow) -> NightReader | None:
    """Return a night that a server has no receipt of; None of one that was sent, or is gone.

    Raises
    ------
    InputError
        The night is damaged.
    """
    night = published(out, name)
    if night is None:  # dropped meanwhile
        return None
    experiment = name_of(settings, str(night.summary["fleet"]))
    return night if receipt_of(out, night, server, experiment) is None else None


def _place(out: Out, night: str, server: str, experiment: str) -> Place:
    name = f"{slug(f'{server} {experiment}')}.json"
    return place_of(out) / FOLDER / f"night={night}" / name


def _read(content: bytes) -> Receipt | None:
    """A receipt; None of what is damaged: the night is looked for on the server again."""
    try:
        told: dict[str, Any] = json.loads(content)
        return Receipt(**{field.name: told[field.name] for field in fields(Receipt)})
    except (ValueError, KeyError, TypeError):
        return None
