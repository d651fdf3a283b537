"""The last look at what is sent: nothing that MLflow would refuse, cut or change in silence."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from calhard.sinks.mlflow.content import NOTE, Content, Point
from calhard.sinks.mlflow.names import LONGEST_PARAM, LONGEST_TAG, cut, key_of

LONGEST_EXPERIMENT = 500
CHANGED = "calhard.changed"
"""The tag that tells what was renamed, cut or left out here."""
NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Characters that databases refuse."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A content that MLflow takes as it is."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: tuple[Point, ...]


def fitted(content: Content) -> Fitted:
    """Return a content with names and texts that MLflow takes; what was changed is in a tag."""
    changes: list[str] = []
    params = _texts(content.params, LONGEST_PARAM, "param", changes)
    said = {**content.tags, NOTE: content.description}
    tags = _texts(said, LONGEST_TAG, "tag", changes)
    points = tuple(_points(content.points, changes))
    if changes:
        tags[CHANGED] = cut("\n".join(dict.fromkeys(changes)), LONGEST_TAG)
    return Fitted(params, tags, points)


def plain(text: str) -> str:
    """Return a text in which a database finds nothing to refuse."""
    return NO_TEXT.sub(lambda found: repr(found[0])[1:-1], text)


def experiment_name(text: str) -> str:
    """Return a name that an experiment may have; a longer one ends with a hash of what it was."""
    name = plain(text)
    if len(name) <= LONGEST_EXPERIMENT:
        return name
    mark = "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return name[: LONGEST_EXPERIMENT - len(mark)] + mark


def _texts(texts: Mapping[str, str], most: int, kind: str, changes: list[str]) -> dict[str, str]:
    found = {}
    for name, text in texts.items():
        key, whole = key_of(name), plain(text)
        if key != name:
            changes.append(f"{kind} {plain(name)} is named {key}")
        if len(whole) > most:
            changes.append(f"{kind} {key} had {len(whole):,} characters")
        found[key] = cut(whole, most)
    return found


def _points(points: Iterable[Point], changes: list[str]) -> Iterable[Point]:
    for point in points:
        key = key_of(point.key)
        if key != point.key:
            changes.append(f"metric {plain(point.key)} is named {key}")
        if math.isfinite(point.value):
            yield replace(point, key=key)
        else:  # ±inf would become a number, and NaN is none in a chart
            changes.append(f"metric {key} is {point.value} at step {point.step}: left out")
