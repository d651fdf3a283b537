"""Done marks: a shard's stage is done when its mark is there, which names and hashes its files.

A mark is a small Arrow stream (facts as JSON in its schema, a sketch's counts as its rows) and the
hash of it. It is written last, under another name, and renamed; so there is a whole one or none.
Nothing is brought to the disk: where the machine went down, hashes tell, and the shard is done
again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.store import disk
from calhard.store.reader import sha256_of

FORMAT = 1
_KEY = b"calhard"
_BEGUN = ".begun"
_HASH = hashlib.sha256().digest_size
_DAMAGE = (OSError, pa.ArrowException, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a done shard tells of a stage.

    ``counts`` is a sketch, flat; ``left`` describes the files by their kind.
    """

    facts: Mapping[str, Any]
    counts: NDArray[np.int64]
    left: Mapping[str, Mapping[str, Any]]

    def file(self, kind: str) -> str:
        """Return the name of a file."""
        return str(self.left[kind]["name"])

    def is_sound(self, folder: Path) -> bool:
        """Whether all files are as they were written."""
        return all(_is_sound(folder / told["name"], told) for told in self.left.values())


def mark_path(folder: Path, name: str, stage: str) -> Path:
    """Return where the mark of a shard's stage is, or will be."""
    return folder / f"{name}.{stage}"


def write_mark(
    path: Path, facts: Mapping[str, Any], counts: NDArray[np.int64], files: Mapping[str, Path]
) -> None:
    """Say that a stage of a shard is done; what another try said of it is the same."""
    flat = counts.reshape(-1)
    place = np.flatnonzero(flat)
    told = {
        "format": FORMAT,
        "facts": facts,
        "size": len(flat),
        "files": {kind: _described(file) for kind, file in files.items()},
    }
    schema = pa.schema(
        [("place", pa.int64()), ("count", pa.int64())],
        metadata={_KEY: json.dumps(told, sort_keys=True)},
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([place, flat[place]], schema=schema))
    temporary = path.with_name(f"{path.name}.{uuid4().hex}")
    content = sink.getvalue().to_pybytes()
    disk.write_bytes(temporary, content + hashlib.sha256(content).digest())
    os.rename(temporary, path)  # noqa: PTH104  # the store's fault tests count calls of os


def read_mark(path: Path) -> Mark | None:
    """Return a mark; None where there is none, or it is damaged."""
    try:
        whole = path.read_bytes()
        content, told_hash = whole[:-_HASH], whole[-_HASH:]
        if hashlib.sha256(content).digest() != told_hash:
            return None
        table = pa.ipc.open_stream(content).read_all()
        told = json.loads(table.schema.metadata[_KEY])
        if told["format"] != FORMAT:
            return None
        counts = np.zeros(told["size"], np.int64)
        counts[table["place"].to_numpy()] = table["count"].to_numpy()
        return Mark(told["facts"], counts, told["files"])
    except _DAMAGE:
        return None


def verified_mark(path: Path) -> Mark | None:
    """Return a mark all of whose files are as they were written; None otherwise."""
    mark = read_mark(path)
    return mark if mark is not None and mark.is_sound(path.parent) else None


def _described(file: Path) -> dict[str, object]:
    return {"name": file.name, "bytes": file.stat().st_size, "sha256": sha256_of(file)}


def _is_sound(file: Path, told: Mapping[str, Any]) -> bool:
    try:
        return bool(file.stat().st_size == told["bytes"] and sha256_of(file) == told["sha256"])
    except OSError:
        return False


@contextmanager
def begun(folder: Path, name: str) -> Iterator[None]:
    """Leave a note while a task is computed; it stays where what computes it dies or is ended.

    Worker processes leave none: their driver sees what they die of.
    """
    if multiprocessing.parent_process() is not None:
        yield
        return
    note = folder / f"{name}{_BEGUN}"
    note.touch()
    try:
        yield
    except Exception:
        note.unlink(missing_ok=True)
        raise
    note.unlink(missing_ok=True)


def any_begun(folder: Path) -> bool:
    """Return whether a task was begun and never ended: it may kill whatever computes it."""
    return any(folder.glob(f"*{_BEGUN}"))


def marks_of(folder: Path, stage: str, names: Sequence[str]) -> int:
    """Return how many of some shards have a mark of a stage, sound or not."""
    return sum(mark_path(folder, name, stage).exists() for name in names)
