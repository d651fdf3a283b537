"""Sorted rows become a block: duplicates merged, conflicts marked, tags and deployments read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from calhard.history.account import Example, RowAccount
from calhard.history.ids import Bools, Codes, Floats, Ints, Keys
from calhard.history.rows import Rows
from calhard.history.shards import Reach
from calhard.series import SeriesBlock

AGREE = "same model, class and timestamp"
DISAGREE = "same model, class and timestamp, other values"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def make_block(
    rows: Rows, keys: Keys, account: RowAccount, reach: Reach | None = None
) -> SeriesBlock:
    """Return rows sorted by pair and time as a block.

    Duplicates that disagree make a group conflicting where a window may hold them: within
    ``reach``.
    """
    rows, clash = _without_duplicates(rows, keys, account)
    if reach is not None and clash.any():
        clash &= _reached(rows, reach)
    heads = run_heads(rows.pair)
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
        np.logical_or.reduceat(clash, heads),
        {
            name: tuple(words[name][c] if c >= 0 else None for c in code.tolist())
            for name, code in tags.items()
        },
        np.full(len(heads), -1, np.int64) if version is None else _deployed(rows, version, offsets),
    )


def run_heads(pair: Codes) -> Ints:
    """Return the first row of every run of rows of one pair; there is at least one row."""
    return np.concatenate(([0], np.flatnonzero(pair[1:] != pair[:-1]) + 1))


def _without_duplicates(rows: Rows, keys: Keys, account: RowAccount) -> tuple[Rows, Bools]:
    """Return rows with one row per pair and instant, and which of them stand for disagreement.

    Of rows that disagree the largest values stay, so that nothing depends on their order.
    """
    again = np.zeros(len(rows), np.bool_)
    again[1:] = (rows.pair[1:] == rows.pair[:-1]) & (rows.timestamp[1:] == rows.timestamp[:-1])
    if not again.any():
        return rows, again
    differs = np.zeros(len(rows), np.bool_)
    for column in (*rows.values.values(), rows.total_samples):
        same = (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
        differs[1:] |= again[1:] & ~same
    heads = np.flatnonzero(~again)
    clash = np.logical_or.reduceat(differs, heads)
    extra = np.diff(heads, append=len(rows)) - 1
    _count(AGREE, rows, heads, np.where(clash, 0, extra), keys, account)
    _count(DISAGREE, rows, heads, np.where(clash, extra, 0), keys, account)
    merged = Rows(
        rows.pair[heads],
        rows.timestamp[heads],
        {name: _largest(v, heads, extra > 0) for name, v in rows.values.items()},
        _largest(rows.total_samples, heads, extra > 0),
        {name: _last_word(c, heads, keys.words.get(name, [])) for name, c in rows.tags.items()},
    )
    return merged, clash


def _reached(rows: Rows, reach: Reach) -> Bools:
    """Which rows a window may hold, also one that counts the samples of a single metric."""
    reached: Bools = rows.timestamp > reach.after_us
    ends = np.append(run_heads(rows.pair)[1:], len(rows))
    stop = np.repeat(ends, np.diff(ends, prepend=0))
    for values in rows.values.values():
        reported = ~np.isnan(values)
        before = np.concatenate(([0], np.cumsum(reported)))
        reached |= reported & (before[stop] - before[:-1] <= reach.samples)
    return reached


def _count(
    reason: str, rows: Rows, heads: Ints, extra: Ints, keys: Keys, account: RowAccount
) -> None:
    """Account for the rows that repeat another; the example is the first by model, class, time."""
    if not extra.any():
        return
    row = heads[np.flatnonzero(extra)[0]]
    model_id, class_id = keys.pairs[rows.pair[row]]
    stamp = int(rows.timestamp[row])
    told = f"model_id = {model_id!r}, class_id = {class_id!r}, timestamp = '{_instant(stamp)}'"
    key = (model_id, class_id, stamp)
    account.add("duplicate", reason, int(extra.sum()), Example("", -1, told, key))


def _instant(stamp: int) -> str:
    return (EPOCH + timedelta(microseconds=stamp)).isoformat(sep=" ")


def _largest(values: Floats, heads: Ints, repeated: Bools) -> Floats:
    """The largest value of each run; of 0.0 and −0.0, which are equal, always 0.0."""
    largest: Floats = np.fmax.reduceat(values, heads)
    largest[repeated] += 0.0
    return largest


def _last_word(code: Codes, heads: Ints, words: list[str]) -> Codes:
    """The code of the last word, by the alphabet, of each run; −1 where there is none."""
    order = np.array(sorted(range(len(words)), key=words.__getitem__), np.int32)
    rank = np.full(len(words) + 1, -1, np.int32)
    rank[order] = np.arange(len(words), dtype=np.int32)
    last = np.maximum.reduceat(rank[code], heads)
    found: Codes = np.append(order, np.int32(-1))[last]
    return found


def _latest(code: Codes, offsets: Ints) -> Codes:
    """Return each group's last known code, −1 where it never had one."""
    last = np.maximum.accumulate(np.where(code >= 0, np.arange(len(code)), -1))[offsets[1:] - 1]
    return np.where(last >= offsets[:-1], code[last], -1).astype(np.int32)


def _deployed(rows: Rows, version: Codes, offsets: Ints) -> Ints:
    """Return when each group's model_version last changed, −1 where it never did."""
    place = np.arange(len(version))
    known = np.maximum.accumulate(np.where(version >= 0, place, -1))
    before = np.concatenate(([-1], known[:-1]))
    begin = np.repeat(offsets[:-1], np.diff(offsets))
    changed = (version >= 0) & (before >= begin) & (version[before] != version)
    last = np.maximum.accumulate(np.where(changed, place, -1))[offsets[1:] - 1]
    return np.where(last >= offsets[:-1], rows.timestamp[last], -1)
