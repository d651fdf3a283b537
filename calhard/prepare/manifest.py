"""What a folder was prepared from: ``_manifest.json`` beside its parts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

from calhard.errors import InputError
from calhard.prepare.sink import Part, part_name

PREPARE_VERSION = 1
"""Version of the manifest and of the parts."""
KIND = "prepared history"


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the history as it was prepared; ``gone`` ones are no longer there, their rows are.

    ``number`` is what its rows carry as their origin.
    """

    name: str
    number: int
    bytes: int
    modified_ns: int
    rows: int
    refused: int
    gone: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as the manifest holds it."""
        names = ("name", "number", "bytes", "modified_ns", "rows", "refused")
        told = {name: getattr(self, name) for name in names}
        return told | {"gone": True} if self.gone else told


@dataclass(frozen=True, slots=True)
class BinFile:
    """A file of reliability bins as it was copied."""

    bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The settings that a folder was prepared with, its sources by name, its parts by label."""

    settings: Mapping[str, Any]
    sources: Mapping[str, Source] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)
    bins: Mapping[str, BinFile] = field(default_factory=dict)
    """By their names within the folder."""
    generation: int = 0
    """Goes up when all is prepared anew: no part of one has the name of another's."""

    @property
    def files(self) -> dict[str, int]:
        """Names and bytes of the parts' files, and of the bins beside them."""
        parts = {part_name(label): part.bytes for label, part in self.parts.items()}
        return parts | {name: file.bytes for name, file in self.bins.items()}

    def to_text(self) -> str:
        """Return the file's text: a line for every source and part."""
        head = {
            "kind": KIND,
            "schema_version": PREPARE_VERSION,
            "generation": self.generation,
            "settings": dict(self.settings),
        }
        parts = [_line(_part(label, self.parts[label])) for label in sorted(self.parts)]
        sources = [_line(self.sources[name].to_dict()) for name in sorted(self.sources)]
        lines = [f"{_line(key)}: {_line(value)}" for key, value in head.items()]
        bins = [_line({"name": name, **asdict(self.bins[name])}) for name in sorted(self.bins)]
        lines += [f'"parts": {_listed(parts)}', f'"bins": {_listed(bins)}']
        lines.append(f'"sources": {_listed(sources)}')
        return "{\n" + ",\n".join(f" {line}" for line in lines) + "\n}\n"

    @classmethod
    def parse(cls, text: str, place: str) -> Manifest:
        """Return what a manifest's text tells.

        Raises
        ------
        InputError
            It is damaged, of another version, or not of a prepared history.
        """
        try:
            told = json.loads(text)
            kind, version = told.get("kind"), told["schema_version"]
            if kind == KIND and version == PREPARE_VERSION:
                sources = (Source(**source) for source in told["sources"])
                parts = {part["label"]: _part_of(part) for part in told["parts"]}
                named = {source.name: source for source in sources}
                bins = {b["name"]: BinFile(b["bytes"], b["modified_ns"]) for b in told["bins"]}
                return cls(told["settings"], named, parts, bins, int(told["generation"]))
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise InputError(
                f"{place}: is damaged ({type(e).__name__}: {e}); put back a copy of it, or "
                "prepare into another folder"
            ) from e
        if kind != KIND:
            raise InputError(
                f"{place}: is not of a history that calhard prepared; choose another folder"
            )
        raise InputError(
            f"{place}: schema version {version!r}, this calhard writes {PREPARE_VERSION}; prepare "
            "into another folder, or use the calhard that wrote it"
        )


def _part(label: str, part: Part) -> dict[str, Any]:
    origins = [[run[0], run[-1]] for run in _runs(part.origins)]
    return {
        "label": label,
        "from": list(part.low),
        "rows": part.rows,
        "bytes": part.bytes,
        "sources": origins,
    }


def _runs(numbers: Iterable[int]) -> list[list[int]]:
    """Ascending numbers as runs that follow one another."""
    placed = groupby(enumerate(numbers), key=lambda at: at[1] - at[0])
    return [[number for _, number in run] for _, run in placed]


def _part_of(told: Mapping[str, Any]) -> Part:
    model, class_, stamp = told["from"]
    origins = [n for first, last in told["sources"] for n in range(first, last + 1)]
    return Part((str(model), str(class_), int(stamp)), told["rows"], told["bytes"], tuple(origins))


def _line(content: Any) -> str:
    return json.dumps(content, sort_keys=False, ensure_ascii=True, allow_nan=False)


def _listed(lines: list[str]) -> str:
    return "[\n  " + ",\n  ".join(lines) + "\n ]" if lines else "[]"
