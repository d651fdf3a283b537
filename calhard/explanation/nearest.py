"""The known names that are most like one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from heapq import nlargest

from calhard.wording.names import display_name

NAMED, LEAST = 3, 0.6
"""At most so many names are suggested, at least so alike."""
COMPARED = 200
"""Names that are compared closely: those that share most pairs of characters."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the names most like ``name``; among equals those that begin as it does."""
    pairs = _pairs(name)
    few = nlargest(COMPARED, sorted(set(known)), key=lambda other: len(pairs & _pairs(other)))
    matcher = SequenceMatcher(b=name, autojunk=False)
    found = []
    for other in few:
        matcher.set_seq1(other)
        alike = matcher.ratio()
        if alike >= LEAST:
            begun = _begun(name, other)
            found.append((-round(alike, 6), -begun, other))
    return [other for _, _, other in sorted(found)[:NAMED]]


def _begun(name: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = zip(name, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(name), len(other)))


def _pairs(name: str) -> set[str]:
    return {name[i : i + 2] for i in range(len(name) - 1)}


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a name that is not known, with the nearest that are, or the first of all."""
    there = sorted(set(known))
    if not there:
        return display_name(name)
    close = nearest(name, there)
    more = f" and {len(there) - NAMED:,} more" if not close and len(there) > NAMED else ""
    hint = "did you mean" if close else "there are"
    told = ", ".join(display_name(n) for n in close or there[:NAMED])
    return f"{display_name(name)} ({hint} {told}{more})"
