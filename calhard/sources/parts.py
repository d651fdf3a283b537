"""Keys whose values make rows together, so that not all keys of a run are held at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from calhard.sources.rows import Owner


def parts_of(owned: Iterable[Sequence[tuple[str, str, Owner]]]) -> list[list[str]]:
    """Return the keys of some runs in the smallest parts that make whole rows each, sorted.

    What one owner holds is of one part: of ``aece/{class_id}`` and ``dece/{class_id}`` the two keys
    of each class are.
    """
    heads: dict[str, str] = {}
    for run in owned:
        first: dict[Owner, str] = {}
        for key, _, owner in run:
            heads.setdefault(key, key)
            one, other = _head(heads, first.setdefault(owner, key)), _head(heads, key)
            heads[max(one, other)] = min(one, other)
    parts: dict[str, list[str]] = {}
    for key in sorted(heads):
        parts.setdefault(_head(heads, key), []).append(key)
    return list(parts.values())


def _head(heads: dict[str, str], key: str) -> str:
    """Return the first key of a key's part, and shorten the way to it."""
    while heads[key] != key:
        heads[key] = heads[heads[key]]
        key = heads[key]
    return key
