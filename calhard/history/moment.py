"""The moment of an audit, how long after their timestamps its rows are known, or why there is none.

Both are found alike. The instants alone (some ns a row) tell which files may hold the row that
decides; ids and weights are read only there, up to the first sound row of that kind. A file that
cannot be read has none. Footers are not asked: no checksum guards their statistics, a wrong one
would move the night, and pyarrow ends the process over some damaged ones instead of raising.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from calhard.history.account import DAMAGED, RowAccount
from calhard.history.batches import Unreadable, read_batches
from calhard.history.columns import INSTANTS, KNOWN
from calhard.history.convert import ColumnError, to_microseconds
from calhard.history.ids import Ints, Keys
from calhard.history.rows import Cleaner
from calhard.history.rules import YEAR_1990, Span, known_from
from calhard.wording.names import display_name

if TYPE_CHECKING:
    from calhard.assess.windows import Clock
    from calhard.history.open import History

DECIDING = (*INSTANTS, "model_id", "class_id", "total_samples")
"""The columns that decide whether a row is refused."""
Instants = tuple[Ints, Ints]
"""Timestamps of some rows, and since when these are known."""
Hopes = list[tuple[int, int]]
"""What a file's rows may score at most, and the file's index."""


def newest_instant(history: History, latest: int) -> int | None:
    """Return when the newest of the sound rows known by ``latest`` became known, None without."""
    span = Span(YEAR_1990, latest, latest)
    search = _Search(history, span, lambda _, known: known)
    return search.greatest(search.hopes(range(len(history.files))))


def least_lag(history: History, clock: Clock, latest: int) -> int:
    """Return how long after their timestamps rows become known, µs; 0 where nothing tells.

    The least of all sound rows that are known at the clock's as_of (and, were that still to come,
    by ``latest``) and of which the timestamp lies at most an analysis window before the newest: a
    row that comes late tells nothing about the others, and months differ. What becomes known later
    changes nothing.
    """
    if not any(KNOWN in plan.source for plan in history.plans):
        return 0
    span = Span(max(clock.lookback, YEAR_1990), min(clock.as_of, latest), latest)
    search = _Search(history, span, lambda stamp, _: stamp)
    newest_of = search.hopes(range(len(history.files)))
    newest = search.greatest(newest_of)
    if newest is None:
        return 0
    since = max(newest - (clock.cut - clock.analysis) + 1, span.since_us)
    search = _Search(history, replace(span, since_us=since), lambda stamp, known: stamp - known)
    recent = [index for hope, index in newest_of if hope >= since]
    found = search.greatest(search.hopes(recent))
    return 0 if found is None else -found


def no_instant(history: History, latest: int) -> str:
    """Return why no row of a history has an instant up to ``latest``."""
    account, span = history.account, Span(YEAR_1990, latest, latest)
    for index, file in enumerate(history.files):
        told = RowAccount()
        try:
            for _ in _sound(history, index, span, told):
                pass
        except pa.ArrowException as e:
            told = RowAccount()
            told.reject_file(file.name, str(Unreadable.of(e)), DAMAGED)
        except Unreadable as e:
            told = RowAccount()
            told.reject_file(file.name, str(e), e.remedy)
        except ColumnError as e:
            told = RowAccount()
            told.reject_file(file.name, e.reason, e.remedy)
        account = account + told
    source = display_name(history.source, 200)
    told_so = f"{source}: no row with a timestamp up to now; nothing to audit"
    return "\n".join([told_so, *account.told()])


@dataclass(frozen=True, slots=True)
class _Search:
    """Looks for the greatest score of a sound row within a span."""

    history: History
    span: Span
    score: Callable[[Ints, Ints], Ints]

    def hopes(self, files: Iterable[int]) -> Hopes:
        """Return the greatest scores of some files' rows, sound or not, where there are any."""
        found = [(self._greatest(self._within(index)), index) for index in files]
        return [(hope, index) for hope, index in found if hope is not None]

    def greatest(self, hopes: Hopes) -> int | None:
        """Return the greatest score of a sound row of some files, None where there is none."""
        best: int | None = None
        for hope, index in sorted(hopes, reverse=True):
            if best is not None and best >= hope:
                break
            rows = _sound(self.history, index, self.span, RowAccount())
            sound = self._greatest(rows, hope)
            best = sound if best is None or (sound is not None and sound > best) else best
        return best

    def _within(self, index: int) -> Iterator[Instants]:
        """Instants of a file's rows within the span, batch by batch, told by these alone."""
        earliest, latest = self.span.since_us, self.span.as_of_us
        for stamp, known in _instants(self.history, index):
            if stamp.min(initial=earliest) < earliest or known.max(initial=latest) > latest:
                inside = (stamp >= earliest) & (known <= latest)
                yield stamp[inside], known[inside]
            else:
                yield stamp, known

    def _greatest(self, rows: Iterable[Instants], enough: int | None = None) -> int | None:
        """The greatest score of some rows; the rest is not read once it is ``enough``."""
        best: int | None = None
        try:
            for stamp, known in rows:
                if len(stamp):
                    found = int(self.score(stamp, known).max())
                    best = found if best is None else max(best, found)
                if best is not None and best == enough:
                    break
        except (pa.ArrowException, Unreadable, ColumnError):
            return None  # the shard that reads the file tells what is wrong with it
        return best


def _instants(history: History, index: int) -> Iterator[Instants]:
    """Instants of a file's rows that have a timestamp, batch by batch."""
    file, plan = history.files[index], history.plans[index].only(INSTANTS)
    for batch in read_batches(history.filesystem, file, plan):
        time = to_microseconds(batch[plan.source["timestamp"]], history.timezone)
        stamp: Ints = time.drop_null().to_numpy()
        timed = batch.filter(time.is_valid()) if time.null_count else batch
        yield stamp, known_from(stamp, timed, plan, history.timezone)


def _sound(history: History, index: int, span: Span, account: RowAccount) -> Iterator[Instants]:
    """Instants of a file's sound rows, batch by batch; the others are accounted for."""
    file, plan = history.files[index], history.plans[index].only(DECIDING)
    cleaner = Cleaner(Keys(), (), (), history.timezone, span, account)
    row = 0
    for batch in read_batches(history.filesystem, file, plan):
        checked = cleaner.check(batch, plan, file.name, row)
        keep = checked.refuse(span, account)
        row += batch.num_rows
        stamp, known = checked.stamp, checked.known
        yield (stamp, known) if keep is None else (stamp[keep], known[keep])
