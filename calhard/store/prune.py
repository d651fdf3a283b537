"""Drops old nights, never the latest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

from calhard.errors import NightInProgress
from calhard.store import disk
from calhard.store.claim import claimed
from calhard.store.layout import Layout, is_night
from calhard.store.lock import held
from calhard.store.objects import clear
from calhard.store.place import RemotePath, place_of
from calhard.store.reader import MANIFEST, Out, kept_revisions, list_nights
from calhard.store.remedies import told
from calhard.store.remote import Target, recover_objects, refused
from calhard.store.writer import recover

_CONSEQUENCE = "not every old night was dropped"


def prune(out: Out, keep: timedelta, *, dry_run: bool = False) -> list[str]:
    """Drop the nights more than ``keep`` before the latest, with their revisions.

    Sweeps what writers left that died, too. Returns the dropped nights, oldest first; with
    ``dry_run`` those that would be.

    Raises
    ------
    NightInProgress
        Someone is writing one of them right now.
    PublishError
        The disk refuses; a night is dropped whole or not at all.
    """
    place = place_of(out)
    nights = list_nights(place)
    if not nights:
        return []
    first = date.fromisoformat(nights[-1]) - keep
    old = [night for night in nights[:-1] if date.fromisoformat(night) < first]
    if dry_run:
        return old
    if isinstance(place, RemotePath):
        _prune_store(place, old)
        return old
    with told(place, _CONSEQUENCE):
        for night in old:
            layout = Layout(place, night)
            with held(layout.lock, night):
                _drop(layout)
        for night in _left_behind(place):
            layout = Layout(place, night)
            with suppress(NightInProgress), held(layout.lock, night):
                recover(layout)
    return old


def _drop(layout: Layout[Path]) -> None:
    """Move the night out of sight in one step, then remove it.

    Its revisions go first, or they would stand in for it.
    """
    recover(layout)
    disk.remove_tree(layout.revisions)
    disk.make_folder(layout.scratch.parent)
    disk.move(layout.published, layout.scratch)
    disk.remove_tree(layout.scratch)


def _left_behind(out: Path) -> list[str]:
    """Nights of which someone left something in the staging folder."""
    names = {p.name.partition("=")[2] for p in (out / ".staging").glob("*=*")}
    return sorted(name for name in names if is_night(name))


def _drop_objects(target: Target) -> None:
    """Remove a night and its revisions, the one that readers see last."""
    recover_objects(target)
    there = (target.published / MANIFEST).is_file()
    for number in kept_revisions(target):
        clear(target.revision(number))
    if there:
        clear(target.published)


def _prune_store(out: RemotePath, old: Sequence[str]) -> None:
    """Drop some nights, and what writers left that died."""
    owner = uuid4().hex
    with refused(out, _CONSEQUENCE):
        for night in old:
            target: Target = Layout(out, night)
            with claimed(target.lock, night, owner):
                _drop_objects(target)
        for night in _left_on_store(out):
            target = Layout(out, night)
            with suppress(NightInProgress), claimed(target.lock, night, owner):
                recover_objects(target)


def _left_on_store(out: RemotePath) -> list[str]:
    """Nights of which there are files without a manifest, or claims."""
    found = {name.partition("/")[0] for name in (out / ".locks").objects()}
    for folder, depth in (("nights", 1), ("revisions", 2)):
        names = (out / folder).objects()
        whole = {n.removesuffix(f"/{MANIFEST}") for n in names if n.endswith(f"/{MANIFEST}")}
        places = {"/".join(name.split("/")[:depth]) for name in names}
        found |= {place.partition("/")[0] for place in places - whole}
    nights = (name.removeprefix("night=") for name in found)
    return sorted(night for night in nights if is_night(night))
