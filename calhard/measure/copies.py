"""Files that are there twice: the same bytes under another name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping

from calhard.history.files import FAULTS
from calhard.measure.manifest import Source
from calhard.measure.predictions import Predictions
from calhard.measure.survey import Copy, Stamp

_BLOCK = 2**22


def find_copies(
    predictions: Predictions, stamps: Mapping[str, Stamp], before: Mapping[str, Source]
) -> tuple[dict[str, Copy], dict[str, str]]:
    """Return the files with the bytes of others, and the SHA-256 of every file as large as another.

    Of files with the same bytes those that were measured stay, else the first by name. Nothing is
    read where all of a size are as they were. Files whose folders say different things are no
    copies: model_id=a/log.csv and model_id=b/log.csv.
    """
    same = {name for name in stamps.keys() & before.keys() if stamps[name].tells(before[name])}
    digests: dict[str, str] = {}
    for names in _alike(stamps, lambda name: stamps[name].bytes):
        for name in names:
            known = before[name].sha256 if name in same else None
            found = known or _digest(predictions, stamps[name].index)
            if found is not None:
                digests[name] = found
    copies: dict[str, Copy] = {}
    for names in _alike(digests, lambda name: (digests[name], _says(predictions, stamps[name]))):
        measured = [n for n in names if n in same and before[n].is_there]
        stay = measured or names[:1]
        copies |= {name: Copy(stamps[name], stay[0]) for name in names if name not in stay}
    return copies, digests


def _alike(names: Iterable[str], what: Callable[[str], Hashable]) -> list[list[str]]:
    """Names of which several have the same thing in common, each list sorted."""
    found: dict[Hashable, list[str]] = {}
    for name in sorted(names):
        found.setdefault(what(name), []).append(name)
    return [alike for alike in found.values() if len(alike) > 1]


def _says(predictions: Predictions, stamp: Stamp) -> Hashable:
    """What decides beside a file's bytes what its rows are."""
    constants = predictions.plans[stamp.index].constants
    return predictions.files[stamp.index].kind, tuple(sorted(constants.items()))


def _digest(predictions: Predictions, index: int) -> str | None:
    """The SHA-256 of a file; None if it cannot be read, which its reader tells."""
    digest = hashlib.sha256()
    try:
        with predictions.filesystem.open_input_stream(predictions.files[index].path) as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except FAULTS:
        return None
    return digest.hexdigest()
