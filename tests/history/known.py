"""Histories that tell when each of their rows became known."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from calhard.assess.windows import Clock, find_windows
from calhard.history import History
from calhard.plan import AuditPlan
from tests.blocks import AS_OF, DAY
from tests.history.reading import UTC_US, read_shard

NOT_YET = "not yet known at as_of"


def series(stamps, known=None, model="a", **columns):
    """A table of one series, rows in the order of ``stamps``; µs, None where nothing is told."""
    fields = {
        "model_id": pa.array([model] * len(stamps)),
        "class_id": pa.array(["x"] * len(stamps)),
        "timestamp": pa.array(stamps, UTC_US),
        "aece": pa.array(0.02 + 1e-4 * np.random.default_rng(7).standard_normal(len(stamps))),
    }
    told = {} if known is None else {"ingested_at": pa.array(known, UTC_US)}
    return pa.table(fields | told | columns)


def periods(length, n, end=AS_OF, **more):
    """A series of ``n`` periods of a length, stamped with their start, known from their end."""
    stamps = [end - length * i for i in range(n, 0, -1)]
    return series(stamps, [t + length for t in stamps], **more)


@dataclass(frozen=True)
class Cut:
    """The timestamps in a group's windows."""

    reference: list
    analysis: list
    night: list


def windows(path, as_of=None, *, now=AS_OF + 30 * DAY, plan=None):
    """The clock of an audit, its groups' windows by (model, class), and what was read."""
    plan = plan or AuditPlan()
    history = History.open(path, plan)
    clock = history.clock(plan, history.moment(now) if as_of is None else as_of, now)
    reading, account, found = history.reading_of(clock, now), history.account, {}
    for spec in history.plan_shards():
        blocks, told = read_shard(spec, reading)
        account = account + told
        for block in blocks:
            found |= _cut(block, clock)
    return clock, found, account


def _cut(block, clock: Clock):
    cut = find_windows(block, clock)
    keys = zip(block.model_id, block.class_id, strict=True)
    ranges = ((cut.start, cut.split), (cut.split, cut.stop), (cut.night, cut.stop))
    return {
        key: Cut(*(block.timestamp[begin[g] : end[g]].tolist() for begin, end in ranges))
        for g, key in enumerate(keys)
    }
