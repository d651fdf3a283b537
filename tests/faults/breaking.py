"""Breaks the disk at any step: every call by which calhard changes what lies under a folder counts.

The calls of `os` (and `renameat2`, which `os` lacks) are replaced while a `Disk` is entered; those
that touch nothing under its root pass uncounted.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from calhard.store import disk

BY_PATH = ("open", "mkdir", "rename", "link", "unlink", "rmdir")
BY_HANDLE = ("write", "fsync", "pwrite", "ftruncate")


class Killed(BaseException):
    """The process has died; nothing catches it."""


class Disk:
    """Counts operations under ``root``; ``at(step, name)`` may raise before or after each.

    ``before`` and ``after`` are called with the number of the operation, from 0, and its name.
    """

    def __init__(self, root, before=lambda step, name: None, after=lambda step, name: None):
        self.root = os.fspath(root)
        self.steps = []
        self.before, self.after = before, after
        self._handles = set()

    def __enter__(self):
        self._stack = ExitStack()
        for name in BY_PATH + BY_HANDLE:
            self._stack.enter_context(patch.object(os, name, self._counting(name)))
        self._stack.enter_context(patch.object(disk, "_swap", self._swapping(disk._swap)))
        self._stack.enter_context(patch.object(os, "close", self._closing(os.close)))
        return self

    def __exit__(self, *error):
        self._stack.close()

    def _counting(self, name):
        real = getattr(os, name)

        def call(place, *args, **options):
            if not self._mine(place, options):
                return real(place, *args, **options)
            found = self._step(name, lambda: real(place, *args, **options))
            if name == "open":
                self._handles.add(found)
            return found

        return call

    def _swapping(self, real):
        return lambda a, b: self._step("renameat2", lambda: real(a, b))

    def _closing(self, real):
        def close(handle):
            self._handles.discard(handle)
            real(handle)

        return close

    def _step(self, name, call):
        step = len(self.steps)
        self.steps.append(name)
        self.before(step, name)
        found = call()
        self.after(step, name)
        return found

    def _mine(self, place, options):
        if isinstance(place, int):
            return place in self._handles
        if options.get("dir_fd") is not None:
            return options["dir_fd"] in self._handles
        return Path(place).is_relative_to(self.root)


def counted(root, work):
    """Return the operations of a piece of work that nothing disturbs."""
    with Disk(root) as seen:
        work()
    return seen.steps


def killed_at(step, root, work, *, after):
    """Do some work in a process that dies before, or after, a step: it touches the disk no more."""

    def die(now, name):
        if now >= step:
            raise Killed

    if not after:
        disturbed = Disk(root, before=die)
    else:
        alive = lambda now, name: die(now - 1, name)  # noqa: E731  # what follows the step fails
        disturbed = Disk(root, before=alive, after=die)
    with disturbed:
        try:
            work()
        except Killed:
            return
    raise AssertionError(f"the work has no step {step}")


def failing(number, step, root, *, sticky):
    """Return a disk whose operation ``step`` fails, and all that follow if it is sticky."""

    def refuse(now, name):
        if now == step or (sticky and now > step):
            raise OSError(number, os.strerror(number))

    return Disk(root, before=refuse)


def tree(root):
    """Return every file under a folder and its bytes."""
    root = Path(root)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
