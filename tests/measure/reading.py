"""Small logs of predictions for the reader's tests, and what is read from them."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from calhard.history import BadFile, RowAccount
from calhard.history.ids import Keys
from calhard.measure.predictions import Predictions, read_rows
from calhard.measure.rows import PredictionRows, concatenate
from calhard.plan import AuditPlan
from tests.blocks import AS_OF
from tests.history.reading import UTC_US, hours

NAMES = (
    *("used", "out of range", "mismatch", "unlabelled"),
    *("missing", "masked", "bad label", "weightless"),
)
"""The states in words, in the order of their numbers."""


def log(n=4, **columns):
    """``n`` sound hourly rows of one model and class; further columns replace or join them."""
    standard = {
        "model_id": ["m"] * n,
        "class_id": ["c"] * n,
        "timestamp": pa.array(hours(n), UTC_US),
        "score": (np.arange(n) + 1) / (n + 1),
        "label": np.arange(n) % 2 * 1.0,
    }
    return pa.table(standard | columns)


@dataclass(frozen=True)
class Read:
    """What a log of predictions gave; ``rows`` is None without any."""

    rows: PredictionRows | None
    keys: Keys
    account: RowAccount
    predictions: Predictions

    def __len__(self):
        return 0 if self.rows is None else len(self.rows)

    @property
    def states(self):
        """The rows' states in words."""
        return [NAMES[s] for s in self.rows.state.tolist()]

    @property
    def pairs(self):
        """Model and class of every row."""
        return [self.keys.pairs[code] for code in self.rows.pair.tolist()]

    def tag(self, name):
        """A tag's word for every row, None where there is none."""
        return [None if c < 0 else self.keys.words[name][c] for c in self.rows.tags[name].tolist()]

    def counts(self, outcome="rejected"):
        """Rows of an outcome by reason."""
        return {reason: n for (o, reason), n in self.account.counts.items() if o == outcome}

    def example(self, reason):
        """The first place of a reason."""
        return next(str(e) for (_, r), e in self.account.examples.items() if r == reason)

    def told(self):
        """All that is known of every row, with names instead of codes, in order; bits as bytes."""
        if self.rows is None:
            return []
        rows = self.rows
        columns = [self.pairs, rows.timestamp.tolist(), rows.state.tolist()]
        columns += [
            [b""] * len(rows) if column is None else [v.tobytes() for v in column]
            for column in (rows.score, rows.label, rows.weight, rows.example)
        ]
        columns += [self.tag(name) for name in sorted(rows.tags)]
        return list(zip(*columns, strict=True))


def read(path, plan=None, *, now=AS_OF, **options):
    """Read predictions as the job does: file by file, nothing of those that break."""
    predictions = Predictions.open(path, plan or AuditPlan(), **options)
    reading = pickle.loads(pickle.dumps(predictions.reading(now)))
    account, keys, parts = predictions.account + RowAccount(), Keys(), []
    for index, file in enumerate(reading.files):
        found, told = read_file(reading, index, keys)
        if isinstance(told, BadFile):
            assert told.path == file.path
            account.reject_file(file.name, told.reason, told.remedy)
        else:
            parts, account = parts + found, account + told
    return Read(concatenate(parts) if parts else None, keys, account, predictions)


def read_file(reading, index, keys, row_groups=None):
    """Rows of a file, batch by batch, and their account, or none and why the file is bad."""
    told = RowAccount()
    try:
        found = [checked(rows) for rows in read_rows(reading, index, keys, told, row_groups)]
    except BadFile as e:
        return ([], e) if told == RowAccount() else ([], "rows of a broken file are told of")
    return (found, told) if told.rows == sum(map(len, found)) else (found, "rows are miscounted")


def checked(rows):
    """Check what every reader of rows relies on."""
    size = len(rows)
    assert size
    arrays = [getattr(rows, f.name) for f in fields(rows) if f.name != "tags"]
    assert all(a is None or a.shape == (size,) for a in (*arrays, *rows.tags.values()))
    kinds = [a.dtype for a in arrays if a is not None and a is not rows.weight]
    expected = ["int32", "int64", "float64", "float64", "int8"]
    assert kinds[:5] == expected
    used = rows.state == 0
    for column in (rows.score[used], rows.label[used]):
        assert ((column >= 0.0) & (column <= 1.0)).all()
        assert not np.signbit(column).any()
    assert (rows.pair >= 0).all()
    if rows.weight is not None:
        assert (np.isfinite(rows.weight) & (rows.weight >= 0.0)).all()
        assert (rows.weight[used] > 0.0).all()
    return rows
