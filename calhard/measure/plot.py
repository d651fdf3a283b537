"""The reliability diagram of one model and class out of a measured history."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs
from numpy.typing import NDArray

from calhard.errors import ConfigError, InputError
from calhard.explanation.nearest import suggestion
from calhard.history.bin_rows import REMEDY, BadBins
from calhard.history.bins import BinFolder
from calhard.plan.instant import instant
from calhard.reliability import BinRows, Diagram, pool
from calhard.reliability.diagram import diagram_of
from calhard.reliability.figure import check_suffix, plot_reliability
from calhard.wording.names import display_name

Floats = NDArray[np.float64]

EARLIEST, LATEST = -(2**62), 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plot_group(
    history: str | os.PathLike[str],
    model_id: str,
    class_id: str,
    path: str | os.PathLike[str],
    since: str | datetime | None = None,
    until: str | datetime | None = None,
) -> Diagram:
    """Draw the reliability of one model and class to ``path``; return what was drawn.

    Parameters
    ----------
    history : a folder that `calhard measure` wrote
    path : the picture, a ``.png`` or an ``.svg``
    since, until : periods that start from ``since`` on and before ``until``; all by default

    Raises
    ------
    ConfigError
        There is no such model or class, no label of it in that time, the picture would be neither,
        or matplotlib is not installed.
    InputError
        The folder holds no bins, or a file of them is damaged.
    """
    check_suffix(path)
    first, end = instant(since, "since"), instant(until, "until")
    begin, stop = EARLIEST if first is None else first, LATEST if end is None else end
    folder = _folder(Path(history))
    try:
        known = _is_text(model_id) and _is_text(class_id)
        parts = [*folder.read([(model_id, class_id)], begin, stop)] if known else []
        bins = BinRows.concatenate(parts) if parts else None
        if bins is None or not len(bins.group):
            raise ConfigError(_nothing(folder, model_id, class_id))
    except BadBins as e:
        raise InputError(f"{history}: {e}; {REMEDY}") from e
    diagram = diagram_of(model_id, class_id, pool(bins))
    plot_reliability(diagram, path)
    return diagram


def _is_text(name: str) -> bool:
    """Whether a file can hold a name: arguments that are no UTF-8 come with lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folder(history: Path) -> BinFolder:
    """The bins of a measured folder."""
    found = BinFolder.within(pafs.LocalFileSystem(), str(history.absolute()))
    if found is not None and found.files:
        return found
    told = "no such folder" if not history.is_dir() else "it holds no reliability bins (_bins/)"
    raise InputError(
        f"{display_name(str(history), 200)}: {told}; "
        "calhard measure PREDICTIONS --history DIR writes them"
    )


def _nothing(folder: BinFolder, model_id: str, class_id: str) -> str:
    """Why there is nothing to draw: which name is unknown and what is near it, or which time."""
    groups = set(folder.names())
    models = {model for model, _ in groups}
    if model_id not in models:
        return f"no model {suggestion(model_id, models)} in the history's bins"
    classes = {class_ for model, class_ in groups if model == model_id}
    if class_id not in classes:
        return f"no class {suggestion(class_id, classes)} of {display_name(model_id)}"
    parts = [part.timestamp for part in folder.read([(model_id, class_id)], EARLIEST, LATEST)]
    stamps = np.concatenate(parts)
    first, last = (_EPOCH + timedelta(microseconds=int(f(stamps))) for f in (np.min, np.max))
    place = f"{display_name(model_id)} / {display_name(class_id)}"
    return (
        f"{place} has no period in that time; its first starts at {first:%Y-%m-%d %H:%M} UTC, "
        f"its last at {last:%Y-%m-%d %H:%M} UTC"
    )
