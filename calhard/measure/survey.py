"""The files that are there, beside those that the last run measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from calhard.measure.manifest import Source


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a file's versions apart without reading it."""

    index: int
    """Its place among the files of the predictions."""
    bytes: int
    modified_ns: int

    def tells(self, source: Source) -> bool:
        """Return whether a source is as it was when it was looked at."""
        return (self.bytes, self.modified_ns) == (source.bytes, source.modified_ns)


@dataclass(frozen=True, slots=True)
class Copy:
    """A file with the bytes of another one."""

    stamp: Stamp
    original: str


@dataclass(frozen=True, slots=True)
class Survey:
    """The files that are there, beside those of the last run, by name."""

    there: Mapping[str, Stamp]
    """Files that can be read, as far as is known."""
    before: Mapping[str, Source]
    refused: frozenset[str]
    """Files that are there and cannot be read."""
    copies: Mapping[str, Copy] = field(default_factory=dict)
    """Files with the bytes of others; they are not read."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Digests of files as large as others."""

    @property
    def new(self) -> list[str]:
        """Files that no run has measured."""
        return [name for name in self.there if name not in self.before]

    @property
    def changed(self) -> list[str]:
        """Files that are not as they were, or were looked at in part."""
        return [n for n in self.there if n in self.before and not self.is_known(n)]

    @property
    def unchanged(self) -> list[str]:
        """Files of which the last run knows all."""
        return [n for n in self.there if n in self.before and self.is_known(n)]

    @property
    def vanished(self) -> list[str]:
        """Files that were there at the last run and are not now."""
        return [name for name in self.gone if not self.before[name].gone]

    @property
    def gone(self) -> list[str]:
        """Files that were measured and are no longer there."""
        return [n for n in self.before if n not in self.there and n not in self.refused]

    def is_known(self, name: str) -> bool:
        """Whether a file that is there is as the last run found it, and it looked at all of it."""
        stamp, source = self.there[name], self.before[name]
        return stamp.tells(source) and source.complete and not source.gone

    def without(self, names: Iterable[str]) -> Survey:
        """Return the same, some files of which turned out to be unreadable."""
        bad = frozenset(names)
        there = {name: stamp for name, stamp in self.there.items() if name not in bad}
        return replace(self, there=there, refused=self.refused | bad)
