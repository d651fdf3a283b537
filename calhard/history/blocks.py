"""Rows become blocks of whole groups: streamed where sorted, gathered and permuted where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from calhard.history.account import RowAccount
from calhard.history.columns import ColumnError
from calhard.history.files import read_batches
from calhard.history.rows import Cleaner, Keys, Rows, Span, concatenate
from calhard.history.shards import Piece, Reading, ShardSpec
from calhard.series import SeriesBlock

Ints = NDArray[np.int64]
BLOCK_ROWS = 2**17


class BadFile(Exception):
    """A file broke while it was read; nothing of it may be audited."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


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
    span = Span(reading.since_us, reading.as_of_us, reading.latest_us, spec.after, spec.through)
    cleaner = Cleaner(keys, reading.metrics, reading.tags, reading.timezone, span, account)
    parts = _clean_parts(spec.pieces, reading, cleaner)
    if spec.ordered:
        yield from _streamed(parts, keys, account)
    else:
        yield from _gathered(list(parts), keys, account)


def _clean_parts(pieces: Sequence[Piece], reading: Reading, cleaner: Cleaner) -> Iterator[Rows]:
    for piece in pieces:
        file = reading.files[piece.file]
        if file.path in reading.excluded:
            continue
        chosen, row = cleaner.owning(piece.owned), piece.first_row
        plan = reading.plans[piece.file]
        try:
            for batch in read_batches(reading.filesystem, file, plan, piece.row_groups):
                rows = chosen.clean(batch, plan, file.name, row)
                row += batch.num_rows
                if len(rows):
                    yield rows
        except (pa.ArrowException, OSError, EOFError) as e:
            raise BadFile(file.path, f"cannot be read: {_first_line(e)}") from e
        except ColumnError as e:
            raise BadFile(file.path, e.reason) from e


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _streamed(parts: Iterator[Rows], keys: Keys, account: RowAccount) -> Iterator[SeriesBlock]:
    """Blocks of sorted rows; the last group of every part waits for the next one."""
    carried: Rows | None = None
    last: tuple[str, str] | None = None
    for part in parts:
        rows = part if carried is None else concatenate([carried, part])
        heads = np.flatnonzero(np.diff(rows.pair, prepend=-1))
        names = [keys.pairs[code] for code in rows.pair[heads].tolist()]
        if last is not None and names[0] <= last:
            raise NotSorted
        if any(a >= b for a, b in pairwise(names)):
            raise NotSorted
        cut = int(heads[-1])
        if cut:
            yield _block(_in_time_order(rows.take(slice(0, cut)), heads[:-1]), keys, account)
            last = names[-2]
        carried = rows.take(slice(cut, None))
    if carried is not None and len(carried):
        yield _block(_in_time_order(carried, np.zeros(1, np.int64)), keys, account)


def _in_time_order(rows: Rows, heads: Ints) -> Rows:
    """Return rows that are sorted by pair sorted by time within each pair as well."""
    backwards = np.diff(rows.timestamp, prepend=np.iinfo(np.int64).min) < 0
    backwards[heads] = False
    if not backwards.any():
        return rows
    owner = np.repeat(np.arange(len(heads)), np.diff(np.append(heads, len(rows))))
    return rows.take(np.lexsort((rows.timestamp, owner)))


def _gathered(parts: list[Rows], keys: Keys, account: RowAccount) -> Iterator[SeriesBlock]:
    """Blocks of rows in any order, by one counting permutation."""
    if not parts:
        return
    rows = concatenate(parts)
    parts.clear()
    names = sorted(range(len(keys.pairs)), key=keys.pairs.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[names] = np.arange(len(names))
    order = _permutation(rank[rows.pair], len(names))
    heads = np.flatnonzero(np.diff(rows.pair[order], prepend=-1))
    for begin, end in _cuts(heads, len(order)):
        chosen = rows.take(order[begin:end])
        inside = heads[(heads >= begin) & (heads < end)] - begin
        yield _block(_in_time_order(chosen, inside), keys, account)


def _permutation(rank: Ints, groups: int) -> Ints:
    """Stable order by group: column indices of a sparse matrix (group, row), a counting sort."""
    size = len(rank)
    matrix = sparse.csr_array(
        (np.ones(size, np.int8), (rank, np.arange(size))), shape=(groups, size)
    )
    return matrix.indices.astype(np.int64)


def _cuts(heads: Ints, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of whole groups of about `BLOCK_ROWS` rows."""
    begin = 0
    ends = np.append(heads[1:], size)
    while begin < size:
        reach = int(np.searchsorted(ends, begin + BLOCK_ROWS))
        end = int(ends[min(reach, len(ends) - 1)])
        yield begin, end
        begin = end


def _block(rows: Rows, keys: Keys, account: RowAccount) -> SeriesBlock:
    """Return sorted rows as a block: duplicates merged, tags and deployments read off."""
    rows, conflict = _without_duplicates(rows, account)
    heads = np.flatnonzero(np.diff(rows.pair, prepend=-1))
    offsets = np.append(heads, len(rows)).astype(np.int64)
    codes = rows.pair[heads].tolist()
    account.rows += len(rows)
    tags = {name: _latest(code, offsets) for name, code in rows.tags.items()}
    words = {name: keys.words.get(name, []) for name in tags}
    version = rows.tags.get("model_version")
    return SeriesBlock(
        tuple(keys.pairs[code][0] for code in codes),
        tuple(keys.pairs[code][1] for code in codes),
        offsets,
        rows.timestamp,
        rows.values,
        rows.total_samples if np.isfinite(rows.total_samples).any() else None,
        np.isin(rows.pair[heads], conflict),
        {
            name: tuple(words[name][c] if c >= 0 else None for c in code.tolist())
            for name, code in tags.items()
        },
        np.full(len(heads), -1, np.int64) if version is None else _deployed(rows, version, offsets),
    )


def _without_duplicates(rows: Rows, account: RowAccount) -> tuple[Rows, NDArray[np.int32]]:
    """Return rows with one row per pair and instant, and the pairs whose duplicates disagree.

    Of rows that disagree the largest values stay, so that nothing depends on their order.
    """
    again = np.zeros(len(rows), np.bool_)
    again[1:] = (rows.pair[1:] == rows.pair[:-1]) & (rows.timestamp[1:] == rows.timestamp[:-1])
    if not again.any():
        return rows, np.empty(0, np.int32)
    differs = np.zeros(len(rows), np.bool_)
    columns = [*rows.values.values(), rows.total_samples]
    for column in columns:
        same = (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
        differs[1:] |= again[1:] & ~same
    heads = np.flatnonzero(~again)
    account.add("duplicate", "same model, class and timestamp", int(np.count_nonzero(again)))
    merged = Rows(
        rows.pair[heads],
        rows.timestamp[heads],
        {name: np.fmax.reduceat(v, heads) for name, v in rows.values.items()},
        np.fmax.reduceat(rows.total_samples, heads),
        {name: np.maximum.reduceat(code, heads) for name, code in rows.tags.items()},
    )
    return merged, np.unique(rows.pair[differs])


def _latest(code: NDArray[np.int32], offsets: Ints) -> NDArray[np.int32]:
    """Return each group's last known code, −1 where it never had one."""
    last = np.maximum.accumulate(np.where(code >= 0, np.arange(len(code)), -1))[offsets[1:] - 1]
    return np.where(last >= offsets[:-1], code[last], -1).astype(np.int32)


def _deployed(rows: Rows, version: NDArray[np.int32], offsets: Ints) -> Ints:
    """Return when each group's model_version last changed, −1 where it never did."""
    place = np.arange(len(version))
    known = np.maximum.accumulate(np.where(version >= 0, place, -1))
    before = np.concatenate(([-1], known[:-1]))
    begin = np.repeat(offsets[:-1], np.diff(offsets))
    changed = (version >= 0) & (before >= begin) & (version[before] != version)
    last = np.maximum.accumulate(np.where(changed, place, -1))[offsets[1:] - 1]
    return np.where(last >= offsets[:-1], rows.timestamp[last], -1)
