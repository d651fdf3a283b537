"""Which alias pointed at which version on a night: MLflow keeps no history of its aliases."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from calhard.registry.catalogue import Catalogue
from calhard.registry.kept import parsed, put
from calhard.registry.names import Wanted
from calhard.registry.verdicts import worst
from calhard.sinks.mlflow.experiment import slug
from calhard.store import Out, place_of
from calhard.store.layout import is_night
from calhard.store.place import Place, names_in

FOLDER = ".registry"
ABOUT = b"calhard.snapshot"
_NAME = re.compile(r"night=(\d{4}-\d{2}-\d{2})\.(.+)\.parquet")
_S = pa.string()
SNAPSHOT = pa.schema(
    [
        ("registered_model", _S),
        ("created", pa.int64()),  # ms since 1970: when the registered model was made
        ("alias", _S),
        ("version", _S),
        ("in_service", pa.bool_()),  # whether it is the alias that the fleet's model stands for
        ("verdict", _S),  # PASS, WARN, FAIL on what is in service; null else
        ("model_ids", pa.list_(_S)),  # of the fleet, that are in service under it
    ]
)
"""One row per registered model of the fleet and alias, of one server."""


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

    @property
    def server(self) -> str:
        """The address of the registry, without credentials."""
        return str(self.about["server"])

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
    there: Catalogue,
    verdicts: Mapping[str, str],
    order: tuple[str, ...],
    about: Mapping[str, Any],
) -> Snapshot:
    """Return the snapshot of what a registry said.

    Parameters
    ----------
    wanted : where each model of the fleet would be registered
    there : the registered models that are there
    verdicts : on each model of the fleet
    order : the aliases in service, of which the first that a model has counts
    """
    serving: dict[tuple[str, str], list[str]] = {}
    for model_id in sorted(wanted):
        place = wanted[model_id]
        known = there.get(place.model)
        alias = None if known is None else place.serving(dict(known.aliases), order)
        if alias is not None:
            serving.setdefault((place.model, alias), []).append(model_id)
    rows = [
        {
            "registered_model": model,
            "created": there[model].created,
            "alias": alias,
            "version": there[model].aliases[alias],
            "in_service": (model, alias) in serving,
            "verdict": _verdict(serving.get((model, alias), []), verdicts),
            "model_ids": serving.get((model, alias), []),
        }
        for model in sorted(there)
        for alias in sorted(there[model].aliases)
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
    put(_place(out, snapshot.night, snapshot.server), snapshot.content())


def read_snapshot(out: Out, night: str, server: str) -> Snapshot | None:
    """Return the snapshot of a night and server; None where there is none.

    Raises
    ------
    InputError
        It cannot be read.
    """

    def parse(content: bytes) -> Snapshot:
        found = _parse(content)
        if (found.night, found.server) != (night, server):
            raise ValueError(f"it is of night {found.night} and of {found.server}")
        return found

    return parsed(_place(out, night, server), parse)


def snapshot_nights(out: Out, server: str) -> list[str]:
    """Return the nights that have a snapshot of a server, oldest first."""
    return sorted(night for night, place in _names(out) if place == slug(server))


def snapshot_servers(out: Out) -> list[str]:
    """Return the servers of which there are snapshots.

    Raises
    ------
    InputError
        A snapshot cannot be read.
    """
    last = {place: night for night, place in sorted(_names(out))}
    files = (_file(out, night, place) for place, night in last.items())
    found = (parsed(file, _parse) for file in files)
    return sorted({snapshot.server for snapshot in found if snapshot is not None})


def _parse(content: bytes) -> Snapshot:
    table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
    about = json.loads(table.schema.metadata[ABOUT])
    return Snapshot(table.select(SNAPSHOT.names).cast(SNAPSHOT), about)


def _names(out: Out) -> list[tuple[str, str]]:
    """Return night and server of every snapshot, as its name tells them."""
    names = names_in(place_of(out) / FOLDER, "night=*.parquet")
    found = (m for m in map(_NAME.fullmatch, names) if m)
    return [(m[1], m[2]) for m in found if is_night(m[1])]


def _place(out: Out, night: str, server: str) -> Place:
    return _file(out, night, slug(server))


def _file(out: Out, night: str, server: str) -> Place:
    return place_of(out) / FOLDER / f"night={night}.{server}.parquet"
