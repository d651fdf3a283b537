"""Nights in a folder or on an object store: published whole or not at all, one writer at a time."""

from __future__ import annotations

from calhard.store.place import Place, RemotePath, exists, place_of
from calhard.store.prune import prune
from calhard.store.reader import NightReader, Out, list_nights, open_night, published
from calhard.store.remote import RemoteNightWriter
from calhard.store.writer import NightWriter

__all__ = [
    "NightReader",
    "NightWriter",
    "Out",
    "Place",
    "exists",
    "list_nights",
    "night_writer",
    "open_night",
    "place_of",
    "prune",
    "published",
]


def night_writer(
    out: Out, night: str, *, force: bool = False, scratch: str | None = None
) -> NightWriter:
    """Return the writer of a night; on an object store it is staged in ``scratch`` first."""
    place = place_of(out)
    if isinstance(place, RemotePath):
        return RemoteNightWriter(place, night, force=force, scratch=scratch)
    return NightWriter(place, night, force=force)
