"""Drops old nights, never the latest."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

from calhard.store import disk
from calhard.store.layout import Layout
from calhard.store.lock import held
from calhard.store.reader import list_nights


def prune(out: str | os.PathLike[str], keep: timedelta, *, dry_run: bool = False) -> list[str]:
    """Drop the nights more than ``keep`` before the latest, with their revisions.

    Returns the dropped nights, oldest first; with ``dry_run`` those that would be.
    """
    nights = list_nights(out)
    if not nights:
        return []
    first = date.fromisoformat(nights[-1]) - keep
    old = [night for night in nights[:-1] if date.fromisoformat(night) < first]
    if dry_run:
        return old
    for night in old:
        layout = Layout(Path(out), night)
        with held(layout.lock, night):
            _drop(layout)
    return old


def _drop(layout: Layout) -> None:
    """Move the night out of sight in one step, then remove it."""
    disk.remove_tree(layout.revisions)
    disk.remove_tree(layout.scratch)
    disk.make_folder(layout.scratch.parent)
    disk.move(layout.published, layout.scratch)
    disk.remove_tree(layout.scratch)
