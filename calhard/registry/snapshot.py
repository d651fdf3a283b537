"""Which alias pointed at which version on a night: MLflow keeps no history of its aliases."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from calhard.registry.catalogue import Aliases
from calhard.registry.kept import UNREADABLE, damaged, get, put
from calhard.registry.names import Wanted
from calhard.registry.verdicts import worst
from calhard.store import Out, place_of
from calhard.store.layout import is_night
from calhard.store.place import Place, names_in

FOLDER = ".registry"
ABOUT = b"calhard.snapshot"
_S = pa.string()
SNAPSHOT = pa.schema(
    [
        ("registered_model", _S),
        ("alias", _S),
        ("version", _S),
        ("in_service", pa.bool_()),  # whether it is the alias that the fleet's model stands for
        ("verdict", _S),  # PASS, WARN, FAIL on what is in service; null else
        ("model_ids", pa.list_(_S)),  # of the fleet, that are in service under it
    ]
)
"""One row per registered model of the fleet and alias."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The aliases of a fleet's registered models on one night, and the night's verdicts.

    ``about`` tells night, revision, manifest_sha256, fleet, server and taken_at.
    """

    table: pa.Table
    about: Mapping[str, Any]

    @property
    def night(self) -> str:
        """``YYYY-MM-DD``."""
        return str(self.about["night"])

    def rows(self) -> list[dict[str, Any]]:
        """Return its rows, by registered model and alias."""
        found: list[dict[str, Any]] = self.table.to_pylist()
        return found

    def of(self, model: str) -> list[dict[str, Any]]:
        """Return the rows of one registered model."""
        mine = pc.equal(self.table["registered_model"], model)
        found: list[dict[str, Any]] = self.table.filter(mine).to_pylist()
        return found

    def judged(self, verdicts: Mapping[str, str], about: Mapping[str, Any]) -> Snapshot:
        """Return the same aliases with the verdicts of a later revision of the night."""
        rows = [row | {"verdict": _verdict(row["model_ids"], verdicts)} for row in self.rows()]
        kept = {name: self.about[name] for name in ("server", "taken_at") if name in self.about}
        return replace(self, table=pa.Table.from_pylist(rows, SNAPSHOT), about={**about, **kept})

    def content(self) -> bytes:
        """Return it as a Parquet file."""
        sink = io.BytesIO()
        text = json.dumps(dict(self.about), sort_keys=True).encode()
        table = self.table.replace_schema_metadata({ABOUT: text})
        pq.write_table(table, sink, write_page_checksum=True)
        return sink.getvalue()


def snapshot_of(
    wanted: Mapping[str, Wanted],
    aliases: Aliases,
    verdicts: Mapping[str, str],
    order: tuple[str, ...],
    about: Mapping[str, Any],
) -> Snapshot:
    """Return the snapshot of what a registry said.

    Parameters
    ----------
    wanted : where each model of the fleet would be registered
    aliases : of the registered models that are there
    verdicts : on each model of the fleet
    order : the aliases in service, of which the first that a model has counts
    """
    serving: dict[tuple[str, str], list[str]] = {}
    for model_id in sorted(wanted):
        place = wanted[model_id]
        alias = place.serving(dict(aliases.get(place.model, {})), order)
        if alias is not None:
            serving.setdefault((place.model, alias), []).append(model_id)
    rows = [
        {
            "registered_model": model,
            "alias": alias,
            "version": aliases[model][alias],
            "in_service": (model, alias) in serving,
            "verdict": _verdict(serving.get((model, alias), []), verdicts),
            "model_ids": serving.get((model, alias), []),
        }
        for model in sorted(aliases)
        for alias in sorted(aliases[model])
    ]
    return Snapshot(pa.Table.from_pylist(rows, SNAPSHOT), about)


def _verdict(model_ids: list[str], verdicts: Mapping[str, str]) -> str | None:
    known = [verdicts[name] for name in model_ids if name in verdicts]
    return worst(known) if known else None


def keep(out: Out, snapshot: Snapshot) -> None:
    """Put a snapshot beside the nights.

    Raises
    ------
    PublishError
        The disk or the store refuses.
    """
    put(_place(out, snapshot.night), snapshot.content())


def read_snapshot(out: Out, night: str) -> Snapshot | None:
    """Return the snapshot of a night; None where there is none.

    Raises
    ------
    InputError
        It cannot be read.
    """
    place = _place(out, night)
    content = get(place)
    if content is None:
        return None
    try:
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        about = json.loads(table.schema.metadata[ABOUT])
        found = Snapshot(table.select(SNAPSHOT.names).cast(SNAPSHOT), about)
        if found.night != night:
            raise ValueError(f"it is of night {found.night}")
    except UNREADABLE as e:
        raise damaged(place, e) from e
    return found


def snapshot_nights(out: Out) -> list[str]:
    """Return the nights that have a snapshot, oldest first."""
    names = names_in(place_of(out) / FOLDER, "night=*.parquet")
    nights = (name.removeprefix("night=").removesuffix(".parquet") for name in names)
    return sorted(night for night in nights if is_night(night))


def _place(out: Out, night: str) -> Place:
    return place_of(out) / FOLDER / f"night={night}.parquet"
