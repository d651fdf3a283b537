"""Fleet metrics of the trailing nights: few keys, each a line over the nights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from calhard.errors import InputError
from calhard.findings.health import STATES
from calhard.findings.severity import REGRESSION_SCALE
from calhard.sinks.mlflow.names import key_of
from calhard.store import NightReader, Out, list_nights, published

MOST_KEYS = 60
EPOCH = date(1970, 1, 1)
COUNTS = {
    "audit/incidents": "incidents",
    "audit/regressions": "regressions",
    "audit/violations": "violations",
    "audit/unconfirmed_violations": "unconfirmed",
    "audit/early_warnings": "warnings",
    "audit/improvements": "improvements",
    "fleet/models": "models",
    "fleet/model_classes": "groups",
    "fleet/series_ok": "ok",
    "fleet/series_failed": "failed",
    "fleet/series_indeterminate": "indeterminate",
    "fleet/series_too_young": "insufficient",
    "fleet/rows": "rows",
    "fleet/rows_rejected": "rows_rejected",
}
"""Keys of what ``summary.json`` counts, by its name there."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric: of the night whose day number (days since 1970) is ``step``."""

    key: str
    value: float
    timestamp_ms: int
    step: int


@dataclass(frozen=True, slots=True)
class ToldNight:
    """What is read of one of the trailing nights."""

    night: str
    summary: Mapping[str, Any]
    actions: int

    @property
    def timestamp_ms(self) -> int:
        """The audit's moment, ms since 1970."""
        return round(datetime.fromisoformat(self.summary["as_of"]).timestamp() * 1e3)

    @property
    def step(self) -> int:
        """Days since 1970."""
        return (date.fromisoformat(self.night) - EPOCH).days


def trailing_nights(out: Out, night: NightReader, fleet: str, most: int) -> list[ToldNight]:
    """Return a night and up to ``most - 1`` nights of the same fleet before it, oldest first.

    A damaged night is left out: its line has a gap.
    """
    found = [_told(night)]
    for name in reversed([n for n in list_nights(out) if n < night.night]):
        if len(found) == most:
            break
        try:
            known = published(out, name)
            told = None if known is None else _told(known)
        except (InputError, KeyError, TypeError):
            continue
        if told is not None and told.summary["fleet"] == fleet:
            found.append(told)
    return found[::-1]


def _told(night: NightReader) -> ToldNight:
    rows = {entry["name"]: entry.get("rows", 0) for entry in night.manifest["files"]}
    told = ToldNight(night.night, night.summary, rows.get("actions.parquet", 0))
    dict(values(told))  # what a summary lacks is met here, where its night can be left out
    return told


def points(nights: list[ToldNight]) -> tuple[Point, ...]:
    """Return the points of the trailing nights, the last of which is told in full.

    The keys are those of the last night: at most `MOST_KEYS`, and metrics beyond them are in
    ``summary.json`` alone.
    """
    keys = list(dict(values(nights[-1])))[:MOST_KEYS]
    told = [(night, dict(values(night))) for night in nights]
    return tuple(
        Point(key, found[key], night.timestamp_ms, night.step)
        for key in keys
        for night, found in told
        if key in found
    )


def values(night: ToldNight) -> Iterator[tuple[str, float]]:
    """Yield key and value of all that a night has a finite number for."""
    for key, value in _values(night):
        if value is not None and math.isfinite(value):
            yield key, float(value)


def _values(night: ToldNight) -> Iterator[tuple[str, float | None]]:
    summary = night.summary
    counts, seconds = summary["counts"], summary["timings"]["seconds"]
    yield from ((key, counts[name]) for key, name in COUNTS.items())
    for severity in REGRESSION_SCALE:
        yield f"audit/incidents_{severity}", summary["severity"].get(severity, 0)
    yield "audit/largest_lambda", max(summary["lambda"].values(), default=1.0)
    yield "fleet/coverage", _share(summary["coverage"]["share"])
    yield "fleet/slo_compliance", _share(summary["compliance"]["rate"])
    yield "fleet/error_budget_left", _share(summary["compliance"]["budget_left"])
    for state in STATES:
        yield f"fleet/model_classes_{state.lower()}", summary["health"].get(state, 0)
    yield "runbook/actions", night.actions
    yield "timing/seconds", seconds
    yield "timing/rows_per_second", round(counts["rows"] / seconds) if seconds > 0 else None
    for name, told in summary.get("metrics", {}).items():
        for word in ("median", "p90"):
            yield key_of(f"calibration/{name}_{word}"), told[word]


def _share(value: float | None) -> float | None:
    """A share to five digits, rounded down: what falls short of 1 never reads as 1."""
    return None if value is None else math.floor(1e5 * value + 1e-6) / 1e5
