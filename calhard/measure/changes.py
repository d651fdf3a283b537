"""What a run has to do: which files changed since the last one, and which periods that touches.

A period is measured again from all files that touch it. If fewer rows are there than it was
measured from, it stays as it is: logs are deleted after a while, and a history outlives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calhard.history.ids import Bools, Ints
from calhard.measure.manifest import Source
from calhard.measure.tally import Tally


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a file's versions apart without reading it."""

    index: int
    """Its place among the files of the predictions."""
    bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Survey:
    """The files that are there, beside those of the last run, by name."""

    there: Mapping[str, Stamp]
    """Files that can be read, as far as is known."""
    before: Mapping[str, Source]
    refused: frozenset[str]
    """Files that are there and cannot be read."""

    @property
    def new(self) -> list[str]:
        """Files that no run has measured."""
        return [name for name in self.there if name not in self.before]

    @property
    def changed(self) -> list[str]:
        """Files that are not as they were, or were looked at in part."""
        return [n for n in self.there if n in self.before and not self._is_known(n)]

    @property
    def unchanged(self) -> list[str]:
        """Files of which the last run knows all."""
        return [n for n in self.there if n in self.before and self._is_known(n)]

    @property
    def vanished(self) -> list[str]:
        """Files that were there at the last run and are not now."""
        return [name for name in self.gone if not self.before[name].gone]

    @property
    def gone(self) -> list[str]:
        """Files that were measured and are no longer there."""
        return [n for n in self.before if n not in self.there and n not in self.refused]

    def _is_known(self, name: str) -> bool:
        stamp, source = self.there[name], self.before[name]
        same = (stamp.bytes, stamp.modified_ns) == (source.bytes, source.modified_ns)
        return same and source.complete and not source.gone

    def without(self, names: Iterable[str]) -> Survey:
        """Return the same, some files of which turned out to be unreadable."""
        bad = frozenset(names)
        there = {name: stamp for name, stamp in self.there.items() if name not in bad}
        return replace(self, there=there, refused=self.refused | bad)


@dataclass(frozen=True, slots=True)
class Kept:
    """A period that stays as it is although files of it changed: some of its rows are gone."""

    number: int
    sources: tuple[str, ...]
    """The files of which it lacks rows now."""
    before: int
    """Rows that it was measured from."""
    now: int
    """Rows that it would be measured from."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Periods to measure, ascending numbers; those that are kept, and of those the ones to tell."""

    measured: Ints
    kept: Ints
    told: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class Extent:
    """What a run is asked to look at: all that changed, or everything from a period on.

    ``force`` measures from what is there, whatever is gone.
    """

    lowest: int | None = None
    force: bool = False
    since_us: int | None = None
    """The instant that ``lowest`` comes from."""


@dataclass(slots=True)
class Tallies:
    """The rows that every file holds now, as far as it matters, and what was seen of them."""

    survey: Survey
    extent: Extent
    seen: dict[str, Tally] = field(default_factory=dict)
    """Of files that were read; only from the lowest period on, if there is one."""

    def first(self) -> list[str]:
        """Return the files to read first: without them nobody knows what to measure."""
        survey, lowest = self.survey, self.extent.lowest
        if lowest is None:
            return [*survey.new, *survey.changed]
        idle = {n for n in survey.unchanged if not len(survey.before[n].holds.since(lowest).number)}
        return [name for name in survey.there if name not in idle]

    def second(self, measured: Ints) -> list[str]:
        """Return the unread files that hold rows of periods to measure."""
        return [
            name
            for name in self.survey.unchanged
            if name not in self.seen
            and np.isin(self.survey.before[name].holds.number, measured).any()
        ]

    def now(self, name: str) -> Tally:
        """Return the rows that a file holds; none of one that is gone or refused."""
        if name not in self.survey.there:
            return Tally.zero()
        if name in self.seen:
            return self.seen[name]
        source = self.survey.before.get(name)
        return Tally.zero() if source is None else source.holds

    def decide(self) -> Decision:
        """Return what is measured and what is kept."""
        touched = self._touched()
        if self.extent.force or not len(touched):
            return Decision(touched, touched[:0])
        before, now = np.zeros((2, len(touched)), np.int64)
        unreadable = np.zeros(len(touched), np.bool_)
        lacking: dict[str, Bools] = {}
        for name in self.survey.before.keys() | self.survey.there.keys():
            source = self.survey.before.get(name)
            held = self.now(name).at(touched)
            now += held
            if source is not None:
                measured = source.measured.at(touched)
                before += measured
                less = held < measured
                if less.any():
                    lacking[name] = less
                if name in self.survey.refused:
                    unreadable |= less
        # As many rows under other names are no loss: a log was renamed, joined or written anew.
        keep = unreadable | (now < before)
        changed = keep & self._changing(touched)
        told = [
            Kept(
                int(touched[i]),
                tuple(sorted(name for name, less in lacking.items() if less[i])),
                int(before[i]),
                int(now[i]),
            )
            for i in np.flatnonzero(changed).tolist()
        ]
        return Decision(touched[~keep], touched[keep], tuple(told))

    def _touched(self) -> Ints:
        """The periods that would be measured if no file were missed."""
        survey, lowest = self.survey, self.extent.lowest
        if lowest is None:
            news = [*survey.new, *survey.changed]
            found = [self.now(n).number for n in news]
            olds = [survey.before[n] for n in survey.changed]
            found += [t.number for s in olds for t in (s.measured, s.holds)]
        else:
            found = [self.now(name).since(lowest).number for name in survey.there]
            found += [s.measured.since(lowest).number for s in survey.before.values()]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def _changing(self, touched: Ints) -> Bools:
        """Which periods new or changed files hold rows of."""
        found = np.zeros(len(touched), np.bool_)
        for name in (*self.survey.new, *self.survey.changed):
            found |= self.now(name).at(touched) > 0
        return found


def next_sources(
    tallies: Tallies, measured: Ints, refused: Mapping[str, int], partial: Sequence[str]
) -> dict[str, Source]:
    """Return what the next manifest tells of every source.

    Parameters
    ----------
    measured : the periods that were measured
    refused : refused rows of the files that were read
    partial : files that changed and of which older rows were passed over
    """
    survey, lowest = tallies.survey, tallies.extent.lowest
    found = {}
    for name, stamp in survey.there.items():
        old = survey.before.get(name)
        now = holds = tallies.now(name)
        earlier, bad = Tally.zero(), 0
        if old is not None:
            earlier, bad = old.measured.without(measured), old.refused
            if lowest is not None:
                holds = old.holds.before(lowest) + now.since(lowest)
        found[name] = Source(
            name,
            stamp.bytes,
            stamp.modified_ns,
            holds.total,
            refused.get(name, bad),
            holds,
            earlier + now.only(measured),
            complete=name not in partial,
        )
    for name, old in survey.before.items():
        left = old.measured.without(measured)
        if name in survey.refused:
            known = old.complete and left == old.measured
            found[name] = replace(old, measured=left, complete=known)
        elif name not in survey.there and len(left.number):
            found[name] = replace(old, measured=left, holds=Tally.zero(), gone=True)
    return found
