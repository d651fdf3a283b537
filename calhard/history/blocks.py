"""Rows become blocks of whole groups: streamed where sorted, gathered and permuted where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from calhard.history.account import DAMAGED, RowAccount
from calhard.history.batches import Unreadable, read_batches
from calhard.history.convert import ColumnError
from calhard.history.groups import make_block, run_heads
from calhard.history.ids import Ints, Keys
from calhard.history.permutation import by_group
from calhard.history.rows import Cleaner, Rows, concatenate
from calhard.history.rules import Span
from calhard.history.shards import Piece, Reading, ShardSpec
from calhard.series import SeriesBlock

BLOCK_ROWS = 2**17


class BadFile(Exception):
    """A file broke while it was read; nothing of it may be audited."""

    def __init__(
        self, path: str, reason: str, remedy: str = DAMAGED, *, passing: bool = False
    ) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason
        self.remedy = remedy
        self.passing = passing
        """Whether storage failed, in a way that may pass."""


class NotSorted(Exception):
    """Rows that the footers promised in order are not."""


def read_blocks(spec: ShardSpec, reading: Reading, account: RowAccount) -> Iterator[SeriesBlock]:
    """Yield a shard's groups, sorted by (model_id, class_id), each in time order.

    Raises
    ------
    BadFile
        A file cannot be read to its end; start again without it (`Reading.without`).
    NotSorted
        Start again with ``spec.gathered()``.
    """
    keys = Keys()
    instants = reading.since_us, reading.as_of_us, reading.latest_us
    span = Span(*instants, spec.after, spec.through, refused=reading.refused)
    cleaner = Cleaner(keys, reading.metrics, reading.tags, reading.timezone, span, account)
    parts = _clean_parts(spec.pieces, reading, cleaner)
    if spec.ordered:
        sorted_rows = _streamed(_of_some_size(parts), keys)
    else:
        sorted_rows = _gathered(list(parts), keys)
    for rows in sorted_rows:
        yield make_block(rows, keys, account, reading.reach)


def _clean_parts(pieces: Sequence[Piece], reading: Reading, cleaner: Cleaner) -> Iterator[Rows]:
    for piece in pieces:
        file, plan = reading.files[piece.file], reading.plans[piece.file]
        told = plan.constants.get("model_id")
        elsewhere = told is not None and not cleaner.span.holds(told)
        if file.path in reading.excluded or (elsewhere and not piece.owned):
            continue
        chosen = cleaner.reading(owned=piece.owned, low=piece.low, high=piece.high)
        row = piece.first_row
        try:
            for batch in read_batches(reading.filesystem, file, plan, piece.row_groups):
                rows = chosen.clean(batch, plan, file.name, row)
                row += batch.num_rows
                if len(rows):
                    yield rows
        except Unreadable as e:
            raise BadFile(file.path, str(e), e.remedy, passing=e.passing) from e
        except pa.ArrowException as e:
            raise BadFile(file.path, str(Unreadable.of(e))) from e
        except ColumnError as e:
            raise BadFile(file.path, e.reason, e.remedy) from e


def _of_some_size(parts: Iterator[Rows]) -> Iterator[Rows]:
    """Join the parts of small files and row groups, so that a block is worth its while."""
    waiting: list[Rows] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= BLOCK_ROWS // 2:
            yield concatenate(waiting)
            waiting, size = [], 0
    if waiting:
        yield concatenate(waiting)


def _streamed(parts: Iterator[Rows], keys: Keys) -> Iterator[Rows]:
    """Rows of whole groups of sorted rows; the last group of every part waits for the next one."""
    carried: list[Rows] = []
    last: tuple[str, str] | None = None
    for part in parts:
        carried.append(part)
        if bool((part.pair == carried[0].pair[0]).all()):
            continue
        rows = concatenate(carried)
        heads = run_heads(rows.pair)
        names = [keys.pairs[code] for code in rows.pair[heads].tolist()]
        _check_order(last, names)
        cut, last = int(heads[-1]), names[-2]
        yield _in_time_order(rows.take(slice(0, cut)), heads[:-1])
        carried = [rows.take(slice(cut, None))]
    if carried:
        rows = concatenate(carried)
        _check_order(last, [keys.pairs[rows.pair[0]]])
        yield _in_time_order(rows, np.zeros(1, np.int64))


def _check_order(last: tuple[str, str] | None, names: Sequence[tuple[str, str]]) -> None:
    if (last is not None and names[0] <= last) or any(a >= b for a, b in pairwise(names)):
        raise NotSorted


def _in_time_order(rows: Rows, heads: Ints) -> Rows:
    """Return rows that are sorted by pair sorted by time within each pair as well."""
    backwards = rows.timestamp[1:] < rows.timestamp[:-1]
    backwards[heads[1:] - 1] = False
    if not backwards.any():
        return rows
    owner = np.repeat(np.arange(len(heads)), np.diff(heads, append=len(rows)))
    return rows.take(np.lexsort((rows.timestamp, owner)))


def _gathered(parts: list[Rows], keys: Keys) -> Iterator[Rows]:
    """Rows of whole groups of rows in any order, by one counting permutation."""
    if not parts:
        return
    rows = concatenate(parts)
    parts.clear()
    names = sorted(range(len(keys.pairs)), key=keys.pairs.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[names] = np.arange(len(names))
    order = by_group(rank[rows.pair], len(names))
    heads = run_heads(rows.pair[order])
    for begin, end in _cuts(heads, len(order)):
        chosen = rows.take(order[begin:end])
        inside = heads[(heads >= begin) & (heads < end)] - begin
        yield _in_time_order(chosen, inside)


def _cuts(heads: Ints, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of whole groups of about `BLOCK_ROWS` rows."""
    begin = 0
    ends = np.append(heads[1:], size)
    while begin < size:
        reach = int(np.searchsorted(ends, begin + BLOCK_ROWS))
        end = int(ends[min(reach, len(ends) - 1)])
        yield begin, end
        begin = end
