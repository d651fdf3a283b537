"""Small files that are put beside the nights, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pyarrow as pa

from calhard.errors import InputError, PublishError
from calhard.store import disk
from calhard.store.place import FAULTS, Place, RemotePath, reading_error
from calhard.store.remedies import refusal
from calhard.uri import told

T = TypeVar("T")


def put(place: Place, content: bytes) -> None:
    """Put a file in one step, in the place of another if there is one.

    Raises
    ------
    PublishError
        The disk or the store refuses; what was there before stays.
    """
    try:
        if isinstance(place, RemotePath):
            place.write_bytes(content)
        else:
            _replace(place, content)
    except FAULTS as e:
        if isinstance(place, Path) and isinstance(e, OSError):
            raise refusal(place, e, "it was not written") from e
        raise PublishError(f"{place}: {told(e)}; it was not written") from e


def _replace(path: Path, content: bytes) -> None:
    disk.make_folder(path.parent)
    draft = path.with_name(f".{uuid4().hex}")
    try:
        disk.write_bytes(draft, content)
        disk.sync(draft)
        disk.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def get(place: Place) -> bytes | None:
    """Return a file's content; None where there is none.

    Raises
    ------
    InputError
        It is there and cannot be read.
    """
    try:
        return place.read_bytes() if place.is_file() else None
    except FAULTS as e:
        raise reading_error(place, e, "restore it from a copy, or remove it") from e


def parsed(place: Place, parse: Callable[[bytes], T]) -> T | None:
    """Return what a file's content means; None where there is none.

    Raises
    ------
    InputError
        It cannot be read, or ``parse`` cannot make anything of it.
    """
    content = get(place)
    if content is None:
        return None
    try:
        return parse(content)
    except UNREADABLE as e:
        raise damaged(place, e) from e


def damaged(place: Place, reason: object) -> InputError:
    """Return the error of a file that is not what was put."""
    line = (str(reason).splitlines() or ["unreadable"])[0][:200]
    return InputError(f"{place}: is damaged ({line}); restore it from a copy, or remove it")


UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError)
"""What reading damaged content raises."""
