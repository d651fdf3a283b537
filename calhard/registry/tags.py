"""Verdicts on model versions, as tags that a registry can be searched by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calhard.registry.catalogue import VERDICT, Version, read_verdicts
from calhard.registry.snapshot import Snapshot
from calhard.registry.verdicts import PASS, VERDICTS, worst
from calhard.sinks.mlflow.errors import DENIED, FORBIDDEN, MISSING, MlflowFailed
from calhard.sinks.mlflow.experiment import slug

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

OF_FLEET = f"{VERDICT}."
"""So begins the tag in which a fleet says its verdict, and the night and run that said so first."""
_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""Names of fleets that can end the name of a tag."""
REFUSALS = 5
"""After so many refusals, and nothing that was allowed, nothing more is tried."""


@dataclass(slots=True)
class Tagging:
    """What became of a night's tags."""

    versions: int = 0
    """Versions whose verdict is written."""
    tags: int = 0
    waiting: int = 0
    """Versions whose turn comes with the next night."""
    refused: int = 0
    gone: int = 0
    """Versions that were deleted meanwhile."""

    def told(self, shown: str) -> list[str]:
        """Return what a person must know, a line at most for each reason."""
        lines = []
        if self.refused:
            lines.append(
                f"registry at {shown}: no verdict was written to {_models(self.refused)}: this "
                "account may only read; give it EDIT, or set [mlflow.registry] verdicts = false"
            )
        if self.waiting:
            lines.append(
                f"registry at {shown}: {_models(self.waiting)} get their verdict with the next "
                "night; [mlflow.registry] max_tags bounds the tags written for one"
            )
        return lines


def _models(number: int) -> str:
    return "1 model version" if number == 1 else f"{number:,} model versions"


def verdicts_of(snapshot: Snapshot) -> dict[Version, str]:
    """Return the verdict on every version that is in service."""
    found: dict[Version, list[str]] = {}
    for row in snapshot.rows():
        if row["in_service"] and row["verdict"] is not None:
            found.setdefault((row["registered_model"], row["version"]), []).append(row["verdict"])
    return {version: worst(verdicts) for version, verdicts in found.items()}


def write_verdicts(client: MlflowClient, snapshot: Snapshot, run_id: str, max_tags: int) -> Tagging:
    """Write the verdicts that have changed since they were last written, the worst first.

    What this fleet says goes into a tag of its own, the worst of what all fleets say into the one
    that is searched by, last: who finds it finds the night and the run that it is of. Versions on
    which a later night of the fleet has spoken are left alone.

    Raises
    ------
    MlflowFailed
        The registry does not answer. A version that may not be written is counted instead.
    """
    done, left = Tagging(), max_tags
    for version, tags in _changed(snapshot, read_verdicts(client), run_id):
        if len(tags) > left:
            done.waiting += 1
            continue
        if done.refused >= REFUSALS and not done.versions:
            done.refused += 1
            continue
        written = _write(client, version, tags, done)
        done.tags, left = done.tags + written, left - written
    return done


def tag_of(fleet: str) -> str:
    """Return the tag of a version that a fleet alone writes."""
    return OF_FLEET + (fleet if _KEY.fullmatch(fleet) else slug(fleet))


def bad_verdicts(tags: Mapping[str, str] | None) -> Iterator[tuple[str, str]]:
    """Yield those tags of a version by which it did not pass, in whatever fleet."""
    for key, text in sorted((tags or {}).items()):
        if (key == VERDICT or key.startswith(OF_FLEET)) and text.partition(" ")[0] != PASS:
            yield key, text


def _changed(
    snapshot: Snapshot, known: Mapping[Version, Mapping[str, str]], run_id: str
) -> Iterator[tuple[Version, dict[str, str]]]:
    """Yield the tags to write, by version, in the order of writing."""
    verdicts, mine = verdicts_of(snapshot), tag_of(str(snapshot.about["fleet"]))
    for version in sorted(verdicts, key=lambda v: (-VERDICTS.index(verdicts[v]), v)):
        there, verdict = known.get(version, {}), verdicts[version]
        before, night = (*there.get(mine, "").split(" "), "")[:2]
        if night > snapshot.night:
            continue
        others = (text.partition(" ")[0] for key, text in there.items() if _is_other(key, mine))
        worst_of_all = worst([verdict, *(v for v in others if v in VERDICTS)])
        tags = {} if before == verdict else {mine: f"{verdict} {snapshot.night} {run_id}"}
        if there.get(VERDICT) != worst_of_all:
            tags[VERDICT] = worst_of_all
        if tags:
            yield version, tags


def _is_other(key: str, mine: str) -> bool:
    return key.startswith(OF_FLEET) and key != mine


def _write(client: MlflowClient, version: Version, tags: Mapping[str, str], done: Tagging) -> int:
    """Write some tags of a version; return how many were written."""
    model, number = version
    for written, (key, value) in enumerate(tags.items()):
        try:
            client.set_model_version_tag(model, number, key, value)
        except MlflowFailed as e:
            if e.code not in {DENIED, FORBIDDEN, MISSING}:
                raise
            done.refused += e.code != MISSING
            done.gone += e.code == MISSING
            return written
    done.versions += 1
    return len(tags)
