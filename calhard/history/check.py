"""What an audit of a history would cover: read in full, nothing computed."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from calhard.assess.block import Rules, metric_windows
from calhard.assess.dense import aggregate_dense
from calhard.assess.panel import sound_values
from calhard.assess.windows import CADENCES, find_windows
from calhard.history.account import RowAccount
from calhard.history.blocks import BadFile, NotSorted, read_blocks
from calhard.history.open import History
from calhard.history.shards import Reading, ShardSpec
from calhard.series import SeriesBlock
from calhard.wording.names import display_name

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


@dataclass(frozen=True, slots=True)
class HistoryCheck:
    """What was found in a history.

    ``bad_values`` counts by metric the values within the windows that are not finite or out of
    range. ``young`` counts model-classes with too few samples to be audited, ``silent`` those that
    stopped reporting, which an audit calls failed; ``ordered`` says whether the reader can stream,
    in one pass, or must gather, with ``shards`` passes. ``lag_us`` is how long after their
    timestamps rows are known: so much earlier than ``as_of_us`` the windows end.
    """

    source: str
    as_of_us: int
    files: int
    models: int
    groups: int
    young: int
    silent: int
    conflicting: int
    cadences: dict[str, int]
    bad_values: dict[str, int]
    metrics: tuple[str, ...]
    missing_metrics: tuple[str, ...]
    tags: tuple[str, ...]
    shards: int
    ordered: bool
    account: RowAccount
    lag_us: int = 0
    left_out: tuple[Mapping[str, object], ...] = ()
    """Rows of the coverage table: what an experiment of MLflow holds that became no rows."""

    @property
    def sound(self) -> bool:
        """Whether rows are left to audit, nothing would be rejected and no value is bad."""
        return self.account.rows > 0 and not self.refused and not self.bad_values

    @property
    def refused(self) -> bool:
        """Whether parts would be rejected."""
        lost = any(row["outcome"] == "rejected" for row in self.left_out)
        return bool(self.account.rejected or self.account.files or self.conflicting or lost)

    def coverage(self) -> list[Mapping[str, object]]:
        """Return the rows of the coverage table that tell of rows, files and what was left out."""
        return [*self.account.coverage(), *self.left_out]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON would hold it."""
        counts = ("files", "models", "groups", "young", "silent", "conflicting", "cadences")
        return {
            "source": self.source,
            **{name: getattr(self, name) for name in counts},
            "bad_values": self.bad_values,
            "lag_seconds": self.lag_us / 1e6,
            "as_of": datetime.fromtimestamp(self.as_of_us / 1e6, tz=UTC).isoformat(),
            "metrics": list(self.metrics),
            "missing_metrics": list(self.missing_metrics),
            "tags": list(self.tags),
            "shards": self.shards,
            "ordered": self.ordered,
            "coverage": self.coverage(),
            "sound": self.sound,
        }


@dataclass(slots=True)
class _Tally:
    models: set[str]
    groups: int
    young: int
    silent: int
    conflicting: int
    cadences: Counter[str]
    bad_values: Counter[str]
    account: RowAccount


def check_history(
    source: str | os.PathLike[str],
    plan: AuditPlan,
    *,
    as_of_us: int | None = None,
    clock: Callable[[], float] = time.time,
) -> HistoryCheck:
    """Read all of a history as an audit would and return what it would make of it.

    Raises
    ------
    InputError
        Nothing can be read at all.
    """
    history = History.open(source, plan)
    now_us = int(clock() * 1e6)
    newest = history.moment(now_us) if as_of_us is None else as_of_us
    window = history.clock(plan, newest, now_us)
    catalogue = plan.metric_catalogue()
    rules = Rules.of(plan, {name: catalogue[name] for name in history.metrics}, window)
    reading = history.reading_of(window, now_us)
    shards = history.plan_shards()
    tally = _Tally(set(), 0, 0, 0, 0, Counter(), Counter(), history.account)
    for spec in shards:
        tally.account = tally.account + _check_shard(spec, reading, rules, tally)
    return HistoryCheck(
        history.source,
        newest,
        len(history.files) + len(history.account.files),
        len(tally.models),
        tally.groups,
        tally.young,
        tally.silent,
        tally.conflicting,
        dict(tally.cadences),
        {name: tally.bad_values[name] for name in history.metrics if tally.bad_values[name]},
        history.metrics,
        history.missing_metrics,
        history.tags,
        len(shards),
        all(spec.ordered for spec in shards),
        tally.account,
        window.lag,
        history.left_out,
    )


def _check_shard(spec: ShardSpec, reading: Reading, rules: Rules, tally: _Tally) -> RowAccount:
    refused = RowAccount()
    while True:
        account, seen = RowAccount(), _Tally(set(), 0, 0, 0, 0, Counter(), Counter(), refused)
        try:
            for block in read_blocks(spec, reading, account):
                _count(aggregate_dense(block, rules.clock, rules.metrics), rules, seen)
        except BadFile as e:
            reading = reading.without(e.path)
            name = next(f.name for f in reading.files if f.path == e.path)
            refused.reject_file(name, e.reason, e.remedy)
        except NotSorted:
            spec = spec.gathered()
        else:
            tally.models |= seen.models
            tally.groups += seen.groups
            tally.young += seen.young
            tally.silent += seen.silent
            tally.conflicting += seen.conflicting
            tally.cadences += seen.cadences
            tally.bad_values += seen.bad_values
            return account + refused


def _count(block: SeriesBlock, rules: Rules, seen: _Tally) -> None:
    found = find_windows(block, rules.clock, restart=rules.restart_on_deployment)
    seen.models |= set(block.model_id)
    seen.groups += len(block)
    enough = found.split - found.start >= rules.min_reference
    silent = enough & (found.stop == found.split)
    young = ~enough | (found.stop - found.split < rules.min_analysis)
    seen.silent += int(np.count_nonzero(silent))
    seen.young += int(np.count_nonzero(young & ~silent))
    seen.conflicting += int(np.count_nonzero(block.conflicting))
    for index, count in enumerate(np.bincount(found.cadence, minlength=len(CADENCES)).tolist()):
        if count:
            seen.cadences[CADENCES[index]] += count
    for metric in rules.metrics.values():
        own, windows = metric_windows(block, metric.name, rules, found)
        ragged = sound_values(own.values[metric.name], metric, windows)
        seen.bad_values[metric.name] += int((ragged.bad_reference + ragged.bad_analysis).sum())


def print_check(found: HistoryCheck, console: Console) -> None:
    """Print a check for a person."""
    console.print(Text(f"{display_name(found.source, 200)}: {_verdict(found)}", style="bold"))
    order = "sorted: streamed in one pass" if found.ordered else "not sorted: gathered"
    lines = [
        f"as of      {datetime.fromtimestamp(found.as_of_us / 1e6, tz=UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"files      {found.files:,} ({order}, {found.shards} shard(s))",
        f"models     {found.models:,} with {found.groups:,} model-classes"
        + (f", {found.young:,} too young to be audited" if found.young else "")
        + (f", {found.silent:,} silent for the whole analysis window" if found.silent else ""),
        "cadence    " + (", ".join(f"{n:,} {c}" for c, n in found.cadences.items()) or "none"),
        "metrics    " + ", ".join(found.metrics),
        "missing    " + (", ".join(found.missing_metrics) or "none"),
        "tags       " + (", ".join(display_name(t) for t in found.tags) or "none"),
        f"rows       {found.account.rows:,} would be audited",
    ]
    if found.lag_us:
        lines.append(
            f"known      {_hours(found.lag_us / 3_600e6)} after their timestamps, at least"
        )
    if found.conflicting:
        lines.append(f"conflicts  {found.conflicting:,} model-classes have rows that disagree")
    if found.bad_values:
        lines.append(f"values     {_bad_values(found.bad_values)}")
    for line in lines:
        console.print(Text(line))
    rows = [r for r in found.coverage() if r["outcome"] != "audited"]
    if rows:
        console.print(_refused(rows))


def _hours(hours: float) -> str:
    return f"{hours:.6g} h" if hours < 48 else f"{hours / 24:.6g} days"


def _verdict(found: HistoryCheck) -> str:
    if found.sound:
        return "sound"
    if not found.account.rows:
        return "nothing would be audited"
    return "parts would be rejected" if found.refused else "values are not finite or out of range"


def _bad_values(counts: dict[str, int]) -> str:
    listed = ", ".join(f"{display_name(name)} {count:,}" for name, count in counts.items())
    return (
        f"{sum(counts.values()):,} not finite or out of range: {listed}; "
        "in the analysis window an audit calls such series failed"
    )


def _refused(rows: list[Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("outcome", "count", "reason", "example", "remedy"):
        table.add_column(name, justify="right" if name == "count" else "left", overflow="fold")
    for row in rows:
        table.add_row(
            row["outcome"],
            f"{row['count']:,} {row['unit']}(s)",
            Text(display_name(row["reason"], 200)),
            Text(display_name(row["example"], 200)),
            Text(display_name(row["remedy"], 300)),
        )
    return table
