"""Names that globs mean: case-sensitive, ``*``, ``?``, ``[abc]``, ``[!abc]``.

A bracket in a name is written ``[[]``.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_SPECIAL = re.compile(r"[*?[]")


def matched(globs: Iterable[str], names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which names any of the globs matches, or equals to the letter; shape (G,)."""
    plain = set(globs)
    if "*" in plain:
        return np.ones(len(names), np.bool_)
    patterns = sorted(glob for glob in plain if _SPECIAL.search(glob))
    accepts = re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)").match
    verdicts = {name: name in plain or accepts(name) is not None for name in set(names)}
    return np.fromiter((verdicts[name] for name in names), np.bool_, len(names))
