"""What a history was measured from: ``_manifest.json`` beside its parts.

It takes about 180 bytes for every period of a source, most of them the sample of its rows.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from calhard.errors import ConfigError, InputError
from calhard.history.ids import Ints
from calhard.measure.periods import Period
from calhard.measure.sample import NO_ROW
from calhard.measure.tally import Tally, numbers_of

MANIFEST = "_manifest.json"
MEASURE_VERSION = 1
"""Version of the manifest and of the history's columns."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_text(microseconds: int) -> str:
    """Return an instant as ``2026-05-03T00:00:00Z``."""
    told = (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    return told.removesuffix("+00:00") + "Z"


def _microseconds(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def period_text(period: Period, number: int) -> str:
    """Return a period's start, a date where it begins at midnight, as a person reads it."""
    if period.rows is not None:
        return "all periods"
    text = instant_text(int(period.start(np.array([number]))[0]))
    return text.removesuffix("T00:00:00Z")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of predictions: what it held when it was looked at, and what was measured from it.

    ``holds`` and ``measured`` differ where periods stayed as they were measured before.
    ``complete`` is false where older rows were passed over (``--since``), or rows were too early
    for the clock: the next run looks again. ``gone`` files are no longer there, but periods that
    were measured from them are. Files of equal sizes have a digest; one with the same bytes as
    another is the ``same_as`` that one and was left out.
    """

    name: str
    bytes: int
    modified_ns: int
    rows: int
    """Usable rows when it was last looked at."""
    refused: int
    holds: Tally
    measured: Tally
    complete: bool = True
    gone: bool = False
    sha256: str | None = None
    same_as: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether periods were measured from it, and it is not gone."""
        return len(self.measured.number) > 0 and not self.gone

    def to_dict(self, period: Period) -> dict[str, Any]:
        """Return it as the manifest holds it; what is as usual is left out."""
        told: dict[str, Any] = {
            "name": self.name,
            "bytes": self.bytes,
            "modified_ns": self.modified_ns,
            "rows": self.rows,
            "refused": self.refused,
            "periods": _told(self.measured, period),
            "samples": _sampled(self.measured),
        }
        if self.holds != self.measured and not self.gone:
            told["holds"] = _told(self.holds, period)
            told["holds_samples"] = _sampled(self.holds)
        if not self.complete:
            told["complete"] = False
        if self.gone:
            told["gone"] = True
        digests = {"sha256": self.sha256, "same_as": self.same_as}
        return told | {name: value for name, value in digests.items() if value is not None}

    @classmethod
    def of(cls, told: Mapping[str, Any], period: Period) -> Source:
        """Return what the manifest holds."""
        measured, gone = _tally(told, "periods", "samples", period), told.get("gone", False)
        holds = _tally(told, "holds", "holds_samples", period) if "holds" in told else measured
        return cls(
            told["name"],
            told["bytes"],
            told["modified_ns"],
            told["rows"],
            told["refused"],
            Tally.zero() if gone else holds,
            measured,
            told.get("complete", True),
            gone,
            told.get("sha256"),
            told.get("same_as"),
        )


def _told(tally: Tally, period: Period) -> list[list[Any]]:
    """Runs of periods: the start of the first, and the rows of each."""
    if period.rows is not None:
        return [[None, rows] for _, rows in tally.runs()]
    starts = period.start(np.array([first for first, _ in tally.runs()], np.int64)).tolist()
    return [
        [instant_text(start), rows] for start, (_, rows) in zip(starts, tally.runs(), strict=True)
    ]


def _sampled(tally: Tally) -> list[str]:
    """The sample of each period in order: up to 16 hashes of 8 bytes, 172 characters of text."""
    hashes = (row[row != NO_ROW].astype("<u8").tobytes() for row in tally.sample)
    return [b64encode(row).decode() for row in hashes]


def _tally(told: Mapping[str, Any], name: str, samples: str, period: Period) -> Tally:
    """Read runs of periods and their samples, which older manifests do not have."""
    number: list[int] = []
    rows: list[int] = []
    for start, counts in told[name]:
        us = 0 if start is None else _microseconds(start)
        first = int(numbers_of(period, np.array([us], np.int64))[0])
        number += range(first, first + len(counts))
        rows += counts
    found = Tally.counted(number, rows)
    for row, text in zip(found.sample, told.get(samples, [""] * len(number)), strict=True):
        hashes = np.frombuffer(b64decode(text, validate=True), "<u8")
        row[: len(hashes)] = hashes
    return found


@dataclass(frozen=True, slots=True)
class File:
    """A file of the history: its rows and bytes."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """The history of a calendar month, or of a day where periods are shorter, and its bins."""

    history: File
    bins: File
    sources: tuple[str, ...] = ()
    """Names of the files that it was measured from."""

    def is_as(self, other: Part) -> bool:
        """Return whether both are the same files."""
        return self.history == other.history and self.bins == other.bins


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a history was measured with and from, and its parts by their label."""

    period: Period
    settings: Mapping[str, Any]
    sources: Mapping[str, Source] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return the file's text: a line for every source and part."""
        head = {
            "schema_version": MEASURE_VERSION,
            "period": self.period.text,
            "settings": dict(self.settings),
        }
        lines = [f"{_line(key)}: {_line(value)}" for key, value in head.items()]
        parts = [_line({"name": name, **_part(self.parts[name])}) for name in sorted(self.parts)]
        sources = [_line(self.sources[name].to_dict(self.period)) for name in sorted(self.sources)]
        lines += [f'"parts": {_listed(parts)}', f'"sources": {_listed(sources)}']
        return "{\n" + ",\n".join(f" {line}" for line in lines) + "\n}\n"

    @classmethod
    def parse(cls, text: str, place: str) -> Manifest:
        """Return what a manifest's text tells.

        Raises
        ------
        InputError
            It is damaged, or of another version.
        """
        try:
            told = json.loads(text)
            version = told["schema_version"]
            if version == MEASURE_VERSION:
                period = Period.parse(told["period"])
                sources = (Source.of(source, period) for source in told["sources"])
                parts = {part["name"]: _part_of(part) for part in told["parts"]}
                return cls(period, told["settings"], {s.name: s for s in sources}, parts)
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as e:
            raise InputError(
                f"{place}: is damaged ({type(e).__name__}: {e}); put back a copy of it, or "
                "measure anew into another folder"
            ) from e
        raise InputError(
            f"{place}: schema version {version!r}, this calhard writes {MEASURE_VERSION}; measure "
            "anew into another folder, or use the calhard that wrote it"
        )

    def numbers(self) -> Ints:
        """Return the numbers of all periods that were measured, ascending."""
        found = [source.measured.number for source in self.sources.values()]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def labelled(self) -> Manifest:
        """Return the same with the sources of every part."""
        sources: dict[str, list[str]] = {name: [] for name in self.parts}
        for name in sorted(self.sources):
            for label in part_labels(self.period, self.sources[name].measured.number):
                if label in sources:
                    sources[label].append(name)
        if self.period.rows is not None:  # every part was measured from all
            every = sorted(n for n, s in self.sources.items() if len(s.measured.number))
            sources = dict.fromkeys(self.parts, every)
        parts = {n: replace(part, sources=tuple(sources[n])) for n, part in self.parts.items()}
        return replace(self, parts=parts)


def part_labels(period: Period, number: Ints) -> list[str]:
    """Return the labels of the parts in which periods lie, each once, in order."""
    if period.rows is not None or not len(number):
        return []
    starts = np.unique(labels_of(period, period.start(number)))
    return [str(label) for label in starts.tolist()]


def labels_of(period: Period, start: Ints) -> Any:
    """Return the part of each period's start: ``2026-05``, or ``2026-05-17`` for short periods."""
    unit = "D" if period.is_short else "M"
    return np.datetime_as_string(start.astype("datetime64[us]").astype(f"datetime64[{unit}]"))


def _line(content: Any) -> str:
    return json.dumps(content, sort_keys=False, ensure_ascii=True, allow_nan=False)


def _listed(lines: list[str]) -> str:
    return "[\n  " + ",\n  ".join(lines) + "\n ]" if lines else "[]"


def _part(part: Part) -> dict[str, Any]:
    bins = {"rows": part.bins.rows, "bytes": part.bins.bytes, "sha256": part.bins.sha256}
    return {
        "rows": part.history.rows,
        "bytes": part.history.bytes,
        "sha256": part.history.sha256,
        "bins": bins,
        "sources": list(part.sources),
    }


def _part_of(told: Mapping[str, Any]) -> Part:
    history, bins = (File(t["rows"], t["bytes"], t["sha256"]) for t in (told, told["bins"]))
    return Part(history, bins, tuple(told["sources"]))
