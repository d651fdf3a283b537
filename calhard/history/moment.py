"""The moment of an audit: the newest instant of a sound row, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from calhard.history.account import DAMAGED, RowAccount
from calhard.history.batches import Unreadable, read_batches
from calhard.history.convert import ColumnError, to_microseconds
from calhard.history.ids import Ints, Keys
from calhard.history.rows import Cleaner
from calhard.history.rules import YEAR_1990, Span
from calhard.report.names import display_name

if TYPE_CHECKING:
    from calhard.history.open import History

DECIDING = ("timestamp", "model_id", "class_id", "total_samples")
"""The columns that decide whether a row is refused."""


def newest_instant(history: History, latest: int) -> int | None:
    """Return the newest instant of a sound row up to ``latest``, None without any.

    The timestamp column alone (some 2 ns a row) tells which files may hold it; ids and weights are
    read only there, up to the first sound row of that instant. A file that cannot be read has none.
    Footers are not asked: no checksum guards their statistics, a wrong one would move the night,
    and pyarrow ends the process over some damaged ones instead of raising.
    """
    found = [(_newest(history, index, latest), index) for index in range(len(history.files))]
    hopes = [(hope, index) for hope, index in found if hope is not None]
    newest: int | None = None
    for hope, index in sorted(hopes, reverse=True):
        if newest is not None and newest >= hope:
            break
        sound = _newest_sound(history, index, latest, hope)
        newest = sound if newest is None or (sound is not None and sound > newest) else newest
    return newest


def no_instant(history: History, latest: int) -> str:
    """Return why no row of a history has an instant up to ``latest``."""
    account = history.account
    for index, file in enumerate(history.files):
        told = RowAccount()
        try:
            for _ in _sound_stamps(history, index, latest, told):
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


def _newest(history: History, index: int, latest: int) -> int | None:
    """The newest instant of a file's rows, sound or not."""
    newest: int | None = None
    try:
        for column in history.column(index, "timestamp"):
            found = _newest_true(to_microseconds(column, history.timezone), latest)
            if found is not None and (newest is None or found > newest):
                newest = found
    except (pa.ArrowException, Unreadable, ColumnError):
        return None  # the shard that reads the file tells what is wrong with it
    return newest


def _newest_true(stamps: pa.Array, latest: int) -> int | None:
    newest = pc.max(stamps).as_py()
    if newest is not None and newest > latest:
        newest = pc.max(stamps.filter(pc.less_equal(stamps, latest))).as_py()
    return newest if newest is not None and newest >= YEAR_1990 else None


def _newest_sound(history: History, index: int, latest: int, hope: int) -> int | None:
    """The newest instant of a file's sound rows; none is later than ``hope``."""
    newest: int | None = None
    try:
        for stamps in _sound_stamps(history, index, latest, RowAccount()):
            found = int(stamps.max())
            newest = found if newest is None else max(newest, found)
            if newest == hope:
                break
    except (pa.ArrowException, Unreadable, ColumnError):
        return None
    return newest


def _sound_stamps(history: History, index: int, latest: int, account: RowAccount) -> Iterator[Ints]:
    """Instants of a file's sound rows, batch by batch; the others are accounted for."""
    file, plan = history.files[index], history.plans[index].only(DECIDING)
    span = Span(YEAR_1990, latest, latest)
    row = 0
    for batch in read_batches(history.filesystem, file, plan):
        cleaner = Cleaner(Keys(), (), (), history.timezone, span, account)
        rows = cleaner.clean(batch, plan, file.name, row)
        row += batch.num_rows
        if len(rows):
            yield rows.timestamp
