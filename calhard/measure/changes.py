"""What a run has to do: which files changed since the last one, and which periods that touches.

A period is measured again from all files that touch it, if the rows that it was measured from are
still there, in whatever file. Else it stays as it is: logs are deleted after a while, and a history
outlives them.

Whether rows are there is told by their number and by samples: of every file and period the 16
smallest hashes of model, class, instant and score. Of a file of which a share f of the rows is
gone, all 16 are found with probability (1 − f)¹⁶: .03 if a fifth is gone; 16 rows or fewer are
known one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calhard.history.ids import Bools, Ints
from calhard.measure.examples import Bits
from calhard.measure.manifest import Source
from calhard.measure.sample import NO_ROW, Sought, contained
from calhard.measure.survey import Survey
from calhard.measure.tally import Tally


@dataclass(frozen=True, slots=True)
class Kept:
    """A period that stays as it is although files of it changed: some of its rows are gone."""

    number: int
    sources: tuple[str, ...]
    """The files whose rows are not all there any more, under whatever name."""
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
    found: Bits = field(default_factory=lambda: np.zeros(0, np.uint64))
    """Hashes of the sought rows that were found, ascending."""

    def sought(self) -> Sought:
        """Return the rows to look for: of all files but those that are as they were measured."""
        known = () if self.extent.force else self.survey.before.items()
        parts = [s.measured for name, s in known if not self._as_measured(name)]
        if self.extent.lowest is not None:
            parts = [tally.since(self.extent.lowest) for tally in parts]
        return Sought.of((tally.number, tally.sample) for tally in parts)

    def _as_measured(self, name: str) -> bool:
        """Whether a file is unchanged, and all its periods were measured from it as it is."""
        if name not in self.survey.there or not self.survey.is_known(name):
            return False
        source = self.survey.before[name]
        return source.holds == source.measured

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
        """Return what is measured and what is kept.

        Rows that may be in files that were not read yet are not missed, so that those are read.
        """
        touched = self._touched()
        if self.extent.force or not len(touched):
            return Decision(touched, touched[:0])
        before, now = np.zeros((2, len(touched)), np.int64)
        fewer: dict[str, Bools] = {}  # of the files that have any
        lost: dict[str, Bools] = {}
        for name in self.survey.before.keys() | self.survey.there.keys():
            held = self.now(name).at(touched)
            now += held
            source = self.survey.before.get(name)
            if source is not None:
                measured = source.measured.at(touched)
                before += measured
                less = held < measured
                _note(fewer, name, less)
                _note(lost, name, self._lost(name, touched, less))
        missed = _any(lost.values(), len(touched)) & ~self._unread(touched)
        broken = _any((fewer[n] for n in self.survey.refused & fewer.keys()), len(touched))
        keep = broken | missed | (now < before)
        told = [
            Kept(int(touched[i]), _names(i, lost) or _names(i, fewer), int(before[i]), int(now[i]))
            for i in np.flatnonzero(keep & self._changing(touched)).tolist()
        ]
        return Decision(touched[~keep], touched[keep], tuple(told))

    def _lost(self, name: str, touched: Ints, fewer: Bools) -> Bools:
        """Of which periods rows that were measured from a file were not found in any.

        Without a sample a file that holds fewer rows lost some.
        """
        lost = np.zeros(len(touched), np.bool_)
        if not self._as_measured(name):
            measured = self.survey.before[name].measured.only(touched)
            place = np.searchsorted(touched, measured.number)
            known = measured.sample[:, 0] != NO_ROW
            lost[place] = np.where(known, ~contained(measured.sample, self.found), fewer[place])
        return lost

    def _unread(self, touched: Ints) -> Bools:
        """Of which periods files hold rows that nobody has looked at in this run."""
        survey = self.survey
        unread = [n for n in survey.unchanged if n not in self.seen]
        return _any((survey.before[n].holds.at(touched) > 0 for n in unread), len(touched))

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
        news = (*self.survey.new, *self.survey.changed)
        return _any((self.now(name).at(touched) > 0 for name in news), len(touched))


def _note(found: dict[str, Bools], name: str, which: Bools) -> None:
    if which.any():
        found[name] = which


def _any(found: Iterable[Bools], size: int) -> Bools:
    every = np.zeros(size, np.bool_)
    for which in found:
        every |= which
    return every


def _names(period: int, found: Mapping[str, Bools]) -> tuple[str, ...]:
    return tuple(sorted(name for name, which in found.items() if which[period]))


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
    zero = Tally.zero()
    found = {}
    for name, stamp in survey.there.items():
        old = survey.before.get(name)
        now = holds = tallies.now(name)
        earlier, bad = zero, 0
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
            sha256=survey.sha256.get(name),
        )
    for name, copy in survey.copies.items():
        left = survey.before[name].measured.without(measured) if name in survey.before else zero
        found[name] = Source(
            name,
            copy.stamp.bytes,
            copy.stamp.modified_ns,
            0,
            0,
            zero,
            left,
            gone=len(left.number) > 0,
            sha256=survey.sha256[name],
            same_as=copy.original,
        )
    for name, old in survey.before.items():
        left = old.measured.without(measured)
        if name in survey.refused:
            known = old.complete and left == old.measured
            found[name] = replace(old, measured=left, complete=known)
        elif name not in found and len(left.number):
            found[name] = replace(old, measured=left, holds=zero, gone=True)
    return found
