"""Small histories for the reader's tests, and what is read from them, group by group."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.history import BadFile, History, NotSorted, RowAccount, read_blocks
from calhard.plan import AuditPlan
from tests.blocks import AS_OF, DAY, HOUR

NOW = AS_OF
UTC_US = pa.timestamp("us", tz="UTC")


def hours(n, end=AS_OF):
    """``n`` hourly instants that end at ``end``, µs."""
    return [end - HOUR * i for i in range(n - 1, -1, -1)]


def rows(models=("a", "b"), classes=("x", "y"), n=4, **columns):
    """A sorted table of hourly rows; further columns replace or join the standard ones."""
    keys = [(m, c, t) for m in models for c in classes for t in hours(n)]
    size = len(keys)
    fields = {
        "model_id": pa.array([k[0] for k in keys]),
        "class_id": pa.array([k[1] for k in keys]),
        "timestamp": pa.array([k[2] for k in keys], UTC_US),
        "aece": pa.array(np.arange(size) / 1_000),
    }
    given = {name: v if isinstance(v, pa.Array) else pa.array(v) for name, v in columns.items()}
    return pa.table(fields | given)


def write(path, table, **options):
    """Write Parquet with checksums."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, write_page_checksum=True, **options)
    return path


@dataclass(frozen=True)
class Group:
    """All that a block says of one (model, class); arrays as bytes, so that equal means equal."""

    timestamp: list
    values: dict
    samples: bytes | None
    conflicting: bool
    tags: dict
    deployed_at: int

    def of(self, metric):
        """The values of a metric."""
        return np.frombuffer(self.values[metric]).tolist()


@dataclass(frozen=True)
class Read:
    """What a history gave."""

    groups: dict
    account: RowAccount
    history: History

    def count(self, reason):
        """Rows of one reason, over all outcomes."""
        return sum(n for (_, r), n in self.account.counts.items() if r == reason)

    def counts(self):
        """Rows by reason."""
        return {reason: n for (_, reason), n in self.account.counts.items()}

    @property
    def total(self):
        """Rows of all kinds."""
        return self.account.rows + sum(self.account.counts.values())


def plan_of(text=""):
    """A plan from the tables under [calibration.hardening]."""
    return AuditPlan.from_text(text)


def read(path, plan=None, *, as_of=AS_OF, now=NOW, days=1_100, shards=None, **options):
    """Read a history as an audit does: shard by shard, without the files that break."""
    history = History.open(path, plan or AuditPlan(), **options)
    reading = history.reading(as_of_us=as_of, now_us=now, since_us=as_of - days * DAY)
    account, groups = history.account, {}
    for spec in history.plan_shards() if shards is None else shards(history):
        blocks, told = read_shard(spec, reading)
        account = account + told
        for block in blocks:
            assert not set(groups) & set(split(block))
            groups |= split(block)
    assert list(groups) == sorted(groups)
    return Read(groups, account, history)


def read_shard(spec, reading):
    """A shard's blocks and account; starts again as the pipeline does."""
    refused = RowAccount()
    while True:
        account = RowAccount()
        try:
            return list(read_blocks(spec, reading, account)), account + refused
        except BadFile as e:
            reading = reading.without(e.path)
            name = next(f.name for f in reading.files if f.path == e.path)
            refused.reject_file(name, e.reason, e.remedy)
        except NotSorted:
            spec = spec.gathered()


def split(block):
    """The groups of a block; checks what `SeriesBlock` promises of its shape."""
    assert block.offsets[0] == 0
    assert block.offsets[-1] == len(block.timestamp)
    keys = list(zip(block.model_id, block.class_id, strict=True))
    assert keys == sorted(set(keys))
    found = {}
    for g, (key, (begin, end)) in enumerate(zip(keys, pairwise(block.offsets), strict=True)):
        assert (np.diff(block.timestamp[begin:end]) > 0).all()
        samples = None if block.total_samples is None else block.total_samples[begin:end]
        found[key] = Group(
            block.timestamp[begin:end].tolist(),
            {name: v[begin:end].tobytes() for name, v in block.values.items()},
            None if samples is None or np.isnan(samples).all() else samples.tobytes(),
            bool(block.conflicting[g]),
            {name: v[g] for name, v in block.tags.items()},
            int(block.deployed_at[g]),
        )
    return found
