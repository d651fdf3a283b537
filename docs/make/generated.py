"""Writes what is generated into the pages: reference tables, measurements, outputs of commands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.make.configuration import configuration
from docs.make.measured import measured
from docs.make.pages import ROOT, run_page
from docs.make.shuffle import shuffle
from docs.make.tables import night_tables

FOLDER = ROOT / "docs"
PARTS: dict[str, Callable[[], str]] = {
    "configuration": configuration,
    "measured": measured,
    "shuffle": shuffle,
    "tables": night_tables,
}
PART = re.compile(
    r"(?<=^<!-- generated: )(\w+)( -->\n).*?(?=^<!-- end of \1 -->$)", re.DOTALL | re.MULTILINE
)
WORD = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
NEAR = 0.05


def pages() -> list[Path]:
    """Return all pages, in order."""
    return sorted(FOLDER.glob("*.md"))


def with_parts(text: str) -> str:
    """Return a page with its generated parts as they are now."""
    return PART.sub(lambda found: f"{found[1]}{found[2]}{PARTS[found[1]]()}", text)


def with_outputs(text: str) -> str:
    """Return a page with the outputs of its commands as they are now.

    An output that agrees with the page's but for noise in its numbers is left as it is.
    """
    with TemporaryDirectory() as folder:
        for ran in reversed(list(run_page(text, Path(folder)))):
            if ran.shown is not None and not agree(ran.printed, ran.shown.body):
                text = text[: ran.shown.start] + ran.printed + text[ran.shown.end :]
    return text


def agree(one: str, other: str) -> bool:
    """Return whether two outputs say the same: the same words, numbers within 5 %.

    Numbers may differ in their last digits between processors and versions of NumPy.
    """
    if WORD.sub("#", one) != WORD.sub("#", other):
        return False
    pairs = zip(WORD.findall(one), WORD.findall(other), strict=True)
    return all(_near(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs)


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= NEAR * max(abs(a), abs(b))
