"""The configuration that a night keeps, read back: with masks in place of its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from calhard.plan.model import AuditPlan
from calhard.plan.problems import PRIVATE
from calhard.plan.write import TABLE

_PRIVATE_TABLE = re.compile(rf"\[+{re.escape('.'.join(TABLE))}\.({'|'.join(PRIVATE)})[.\]]")


def plan_from_effective(text: str, origin: str = "calhard.toml") -> AuditPlan:
    """Return the plan of a night's configuration, but for where results go and who is told.

    The secrets of these tables were masked when it was written, so that they cannot be in force
    again; nothing of them decides what a night finds.

    Raises
    ------
    ConfigError
        The text is damaged.
    """
    return AuditPlan.from_text("\n".join(_public(text)), origin)


def _public(text: str) -> Iterator[str]:
    """Yield lines in their places, those of private tables empty."""
    kept = True
    for line in text.split("\n"):
        if line.startswith("["):  # a value is written on its key's line
            kept = _PRIVATE_TABLE.match(line) is None
        yield line if kept else ""
