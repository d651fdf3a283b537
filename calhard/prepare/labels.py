"""Names for parts, in the order of their keys; there is always room between two."""

from __future__ import annotations

DIGITS = 6
STEP = 3


def first_labels(generation: int, counts: list[int]) -> list[tuple[str, ...]]:
    """Return labels of so many parts for each task of a new generation."""
    found, number = [], 0
    for count in counts:
        labels = (f"{generation:03d}-{number + i:0{DIGITS}d}" for i in range(count))
        found.append(tuple(labels))
        number += count
    return found


def split_labels(label: str, following: str | None, count: int) -> tuple[str, ...]:
    """Return ``count`` labels from ``label`` on that all stand before the following one.

    They are fractions: ``12`` < ``125`` < ``13``, and so are the names of their files, for a dot
    stands before every digit.
    """
    head, digits = label.split("-")
    after = (following or "").removeprefix(f"{head}-")
    size = max(len(digits), len(after)) + max(STEP, len(str(count)))
    low = int(digits.ljust(size, "0"))
    high = int(after.ljust(size, "0")) if after else 10**size
    step = (high - low) // count
    return (label, *(f"{head}-{low + step * i:0{size}d}" for i in range(1, count)))
