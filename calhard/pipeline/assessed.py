"""What the driver learns of an assessed shard: it reads it from the shard's mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calhard.assess.correlation import CorrelationSketch
from calhard.errors import CalhardError
from calhard.history import RowAccount, ShardSpec
from calhard.history.account import Example
from calhard.pipeline.keys import KeySpan
from calhard.pipeline.marks import mark_path, read_mark, write_mark

STAGE = "assessed"


@dataclass(frozen=True, slots=True)
class Assessed:
    """An assessed shard as the driver keeps it: small, whatever the shard holds."""

    spec: ShardSpec
    """The shard as it was read in the end: gathered if its rows turned out not to be sorted."""
    excluded: frozenset[str]
    """Files that were left out."""
    keys: KeySpan
    groups_file: str
    series_file: str

    @property
    def groups(self) -> int:
        """How many groups were assessed."""
        return self.keys.count


@dataclass(frozen=True, slots=True)
class Counts:
    """What of a shard is added to that of others."""

    sketch: CorrelationSketch
    account: RowAccount
    retired: frozenset[str] = frozenset()
    """Models whose rows were left out."""

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both."""
        return Counts(
            self.sketch + other.sketch, self.account + other.account, self.retired | other.retired
        )


def write_assessed(
    folder: Path,
    spec: ShardSpec,
    excluded: frozenset[str],
    keys: KeySpan,
    counts: Counts,
    files: Mapping[str, Path],
) -> None:
    """Leave a shard's mark; ``files`` are its ``groups`` and ``series``."""
    facts = {
        "ordered": spec.ordered,
        "excluded": sorted(excluded),
        "keys": keys.told(),
        "account": account_told(counts.account),
        "retired": sorted(counts.retired),
        "shape": list(counts.sketch.counts.shape),
    }
    write_mark(mark_path(folder, spec.name, STAGE), facts, counts.sketch.counts, files)


def read_assessed(folder: Path, spec: ShardSpec) -> tuple[Assessed, Counts]:
    """Return what the mark of an assessed shard tells.

    Raises
    ------
    CalhardError
        It is gone.
    """
    mark = read_mark(mark_path(folder, spec.name, STAGE))
    if mark is None:
        raise CalhardError(f"{folder}: a shard's result is gone; nothing was published: run again")
    facts = mark.facts
    shard = Assessed(
        replace(spec, ordered=facts["ordered"]),
        frozenset(facts["excluded"]),
        KeySpan.from_told(facts["keys"]),
        mark.file("groups"),
        mark.file("series"),
    )
    sketch = CorrelationSketch(mark.counts.reshape(facts["shape"]))
    return shard, Counts(sketch, account_from(facts["account"]), frozenset(facts["retired"]))


def account_told(account: RowAccount) -> dict[str, Any]:
    """Return an account as JSON holds it."""
    return {
        "rows": account.rows,
        "counts": [[*key, count] for key, count in sorted(account.counts.items())],
        "examples": [
            [*key, e.file, e.row, e.detail, list(e.key)]
            for key, e in sorted(account.examples.items())
        ],
        "files": {path: list(told) for path, told in sorted(account.files.items())},
    }


def account_from(told: Mapping[str, Any]) -> RowAccount:
    """Return what `account_told` told."""
    return RowAccount(
        told["rows"],
        {(outcome, reason): count for outcome, reason, count in told["counts"]},
        {
            (outcome, reason): Example(file, row, detail, tuple(key))
            for outcome, reason, file, row, detail, key in told["examples"]
        },
        {path: (reason, remedy) for path, (reason, remedy) in told["files"].items()},
    )


def check_keys(found: Sequence[Assessed]) -> None:
    """Check that no series is in two shards, and each is in the one where it belongs.

    Raises
    ------
    CalhardError
        It is not so.
    """
    last = None
    for shard in found:
        keys = shard.keys
        if keys.first is None or keys.last is None:
            continue
        if not (shard.spec.holds(keys.first[0]) and shard.spec.holds(keys.last[0])):
            raise CalhardError(f"a shard holds models of another: {keys.first} to {keys.last}")
        if last is not None and keys.first <= last:
            raise CalhardError(f"series are doubled: {keys.first} is in two shards")
        last = keys.last


def check_rows(planned: Sequence[ShardSpec], account: RowAccount) -> None:
    """Check that every row was accounted for, where all files' footers tell how many there are.

    Raises
    ------
    CalhardError
        Rows were lost or doubled.
    """
    rows = _planned_rows(planned)
    seen = account.rows + sum(account.counts.values())
    if rows is not None and seen != rows:
        raise CalhardError(
            f"{seen:,} rows were accounted for of {rows:,} that the footers tell; nothing was "
            "published: audit the history when nothing writes to it"
        )


def _planned_rows(planned: Sequence[ShardSpec]) -> int | None:
    """Rows of all pieces, each once; None where a footer does not tell."""
    rows = [piece.rows for spec in planned for piece in spec.pieces if piece.owned]
    return None if None in rows else sum(filter(None, rows))
