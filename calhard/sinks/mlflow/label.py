"""What the run of a night is found by: tags that say which night it is, and what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from calhard._version import __version__
from calhard.sinks.mlflow.content import Content
from calhard.store import NightReader

if TYPE_CHECKING:
    from mlflow.entities import Run

KEY, NIGHT, REVISION = "calhard.key", "calhard.night_key", "calhard.revision"
MANIFEST, CONTENT = "calhard.manifest_sha", "calhard.content"
STATE, BEGAN = "calhard.state", "calhard.began"
FLEET, DATE = "calhard.fleet", "calhard.audit_date"
WRITING, COMPLETE, SUPERSEDED = "writing", "complete", "superseded"
ABANDONED, DISCARDED = "abandoned", "discarded"
HALF = frozenset({WRITING, ABANDONED})
"""States of a run that can be gone on with."""


@dataclass(frozen=True, slots=True)
class Label:
    """A night, of whom, in which revision, and two hashes of what is written.

    Attributes
    ----------
    manifest : hash of the night's manifest; audited elsewhere, the same night has another one
    content : hash of what its run says; another version of calhard, or other nights before it,
        would say something else
    """

    fleet: str
    night: str
    plan: str
    revision: int
    manifest: str
    content: str

    @classmethod
    def of(cls, night: NightReader, content: Content) -> Label:
        """Return the label of a night."""
        return cls(
            fleet=str(night.summary["fleet"]),
            night=night.night,
            plan=str(night.summary["plan_sha256"]),
            revision=night.revision,
            manifest=night.manifest_sha256,
            content=_digest(__version__, *_said(content)),
        )

    @property
    def key(self) -> str:
        """Hash of fleet, night and plan."""
        return _digest(self.fleet, self.night, self.plan)

    @property
    def night_key(self) -> str:
        """Hash of fleet and night."""
        return _digest(self.fleet, self.night)

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the night's run."""
        return {
            KEY: self.key,
            NIGHT: self.night_key,
            REVISION: str(self.revision),
            MANIFEST: self.manifest,
            CONTENT: self.content,
            FLEET: self.fleet,
            DATE: self.night,
        }

    def names(self, run: Run) -> bool:
        """Whether a run is of this night, plan and revision, whoever audited it."""
        tags = run.data.tags
        return (tags.get(KEY), tags.get(REVISION)) == (self.key, str(self.revision))

    def is_same_audit(self, run: Run) -> bool:
        """Whether a run is of the very night that lies here."""
        return self.names(run) and run.data.tags.get(MANIFEST) == self.manifest

    def can_finish(self, run: Run) -> bool:
        """Whether a run is half of what would be written now."""
        tags = run.data.tags
        is_half = tags.get(STATE) in HALF and tags.get(CONTENT) == self.content
        return is_half and self.is_same_audit(run)


def state_of(run: Run) -> str:
    """Return how far a run is; a run without that tag was never ours."""
    return str(run.data.tags.get(STATE, ""))


def revision_of(run: Run) -> int:
    """Return the night's revision that a run shows; 0 where it tells none."""
    text = str(run.data.tags.get(REVISION, ""))
    return int(text) if text.isdecimal() else 0


def _said(content: Content) -> tuple[str, ...]:
    """What a run says beside its artifacts, which follow from the night."""
    told: tuple[Mapping[str, Any], ...] = (content.tags, content.params, asdict(content.dataset))
    points = [(p.key, repr(p.value), p.timestamp_ms, p.step) for p in content.points]
    parts = [json.dumps(dict(part), sort_keys=True) for part in told]
    return (*parts, json.dumps(points), content.run_name, content.description)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
