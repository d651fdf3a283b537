"""What ``--baseline`` means: a file, or the one that is pinned."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from calhard.errors import CalhardError, ConfigError
from calhard.history.baseline import parse_baseline, read_baseline
from calhard.registry.baselines.shelf import REMEDY, Shelf, Version
from calhard.store import Out

if TYPE_CHECKING:
    from calhard.judge.pinned import PinnedBaselines
    from calhard.plan import AuditPlan

_PINNED = re.compile(r"pinned(?::(\d+))?")


def is_pinned(text: str) -> bool:
    """Return whether an option names what is pinned, not a file."""
    return _PINNED.fullmatch(text) is not None


def choose_baseline(text: str, out: Out, plan: AuditPlan) -> PinnedBaselines:
    """Return the baseline that an option names.

    ``pinned`` is the one in force beside the nights of ``out``, ``pinned:3`` its third version;
    anything else is a file (``./pinned`` too), see `read_baseline`.

    Raises
    ------
    ConfigError
        It cannot be read, or nothing is pinned.
    """
    version = pinned_version(text, out)
    if version is None:
        return read_baseline(text, plan)
    try:
        content = version.content
    except CalhardError as e:
        raise ConfigError(f"baseline {e}") from e
    return parse_baseline(content, "parquet", str(version.place), plan)


def pinned_version(text: str, out: Out) -> Version | None:
    """Return the version that an option names; None where it names a file.

    Raises
    ------
    ConfigError
        There is no such version.
    """
    found = _PINNED.fullmatch(text)
    if found is None:
        return None
    shelf = Shelf.of(out)
    try:
        version = shelf.in_force() if found[1] is None else shelf.version(int(found[1]))
    except ConfigError:
        raise
    except CalhardError as e:
        raise ConfigError(f"baseline {e}") from e
    if version is None:
        raise ConfigError(
            f"{shelf.out}: no baseline is in force; {REMEDY} (a file of this name is ./{text})"
        )
    return version
