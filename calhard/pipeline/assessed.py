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
from calhard.pipeline.marks import Mark, mark_path, read_mark, write_mark

STAGE = "assessed"


@dataclass(frozen=True, slots=True)
class Assessed:
    """An assessed shard: what was counted, and the names of its files."""

    spec: ShardSpec
    """The shard as it was read in the end: gathered if its rows turned out not to be sorted."""
    excluded: frozenset[str]
    """Files that were left out."""
    keys: KeySpan
    sketch: CorrelationSketch
    account: RowAccount
    retired: frozenset[str]
    """Models whose rows were left out."""
    groups_file: str = ""
    series_file: str = ""

    @property
    def groups(self) -> int:
        """How many groups were assessed."""
        return self.keys.count

    def write(self, folder: Path, groups: Path, series: Path) -> None:
        """Leave the shard's mark."""
        facts = {
            "ordered": self.spec.ordered,
            "excluded": sorted(self.excluded),
            "keys": self.keys.told(),
            "account": account_told(self.account),
            "retired": sorted(self.retired),
            "shape": list(self.sketch.counts.shape),
        }
        path = mark_path(folder, self.spec.name, STAGE)
        write_mark(path, facts, self.sketch.counts, {"groups": groups, "series": series})


def read_assessed(folder: Path, spec: ShardSpec) -> Assessed:
    """Return what the mark of an assessed shard tells.

    Raises
    ------
    CalhardError
        It is gone.
    """
    mark = read_mark(mark_path(folder, spec.name, STAGE))
    if mark is None:
        raise CalhardError(f"{folder}: a shard's result is gone; nothing was published: run again")
    return _assessed(mark, spec)


def _assessed(mark: Mark, spec: ShardSpec) -> Assessed:
    facts = mark.facts
    return Assessed(
        replace(spec, ordered=facts["ordered"]),
        frozenset(facts["excluded"]),
        KeySpan.from_told(facts["keys"]),
        CorrelationSketch(mark.counts.reshape(facts["shape"])),
        account_from(facts["account"]),
        frozenset(facts["retired"]),
        mark.file("groups"),
        mark.file("series"),
    )


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


def check_assessed(planned: Sequence[ShardSpec], found: Sequence[Assessed], whole: bool) -> None:
    """Check that the shards are those that were planned, no series is twice there, and rows add up.

    ``whole``: no shard is missing for a reason that is told.

    Raises
    ------
    CalhardError
        They are not.
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
    rows = _planned_rows(planned)
    if rows is None or not whole or any(shard.excluded for shard in found):
        return
    seen = sum(s.account.rows + sum(s.account.counts.values()) for s in found)
    if seen != rows:
        raise CalhardError(
            f"{seen:,} rows were accounted for of {rows:,} that the footers tell; nothing was "
            "published: audit the history when nothing writes to it"
        )


def _planned_rows(planned: Sequence[ShardSpec]) -> int | None:
    """Rows of all pieces, each once; None where a footer does not tell."""
    rows = [piece.rows for spec in planned for piece in spec.pieces if piece.owned]
    return None if None in rows else sum(filter(None, rows))
