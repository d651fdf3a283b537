"""Where a TOML text says what: the line of every table, key and array item.

`tomllib` forgets lines, and errors should name them. The text is valid TOML already, so this reads
only as much of the grammar as it takes to find the keys.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections import defaultdict

from calhard.plan.rules import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\])*"|' + r"'[^']*'", re.DOTALL
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_OTHER = re.compile(r"[^,\]}\n#]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of each table, key and array item of a valid TOML text.

    A table that only its inner tables name has the line of the first of them.
    """
    return _Reader(text).document()


class _Reader:
    """One pass over a text; ``at`` is where it stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self.tables: defaultdict[KeyPath, int] = defaultdict(int)
        self.breaks = [found.start() for found in re.finditer("\n", text)]

    def document(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self.skip() != "":
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
        return self.lines

    def skip(self) -> str:
        """Go over blanks and comments; return the character that follows, "" at the end."""
        self.at = self.match(_BLANK)
        return self.text[self.at : self.at + 1]

    def match(self, pattern: re.Pattern[str]) -> int:
        """Return where a match that begins here ends; here, where nothing matches."""
        found = pattern.match(self.text, self.at)
        return self.at if found is None else found.end()

    def line(self) -> int:
        return bisect_right(self.breaks, self.at - 1) + 1

    def note(self, path: KeyPath, line: int) -> None:
        """Note the line of a path, and of the tables around it that have none yet."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return
            self.lines[path[:end]] = line

    def header(self) -> KeyPath:
        """Read ``[a.b]`` or ``[[a.b]]``; the tables of an array are numbered."""
        size = 2 if self.text.startswith("[[", self.at) else 1
        line = self.line()
        self.at += size
        *outer, last = self.key()
        path: KeyPath = ()
        for step in outer:
            path = self.inside((*path, step))
        path = (*path, last)
        if size == 2:
            self.tables[path] += 1
        path = self.inside(path)
        self.note(path, line)
        self.at += size
        return path

    def inside(self, path: KeyPath) -> KeyPath:
        """Return the table that a header means: the latest one of an array of tables."""
        return (*path, self.tables[path] - 1) if path in self.tables else path

    def key(self) -> KeyPath:
        steps: list[str] = []
        while True:
            self.skip()
            start = self.at
            self.at = max(self.match(_BARE), self.match(_TEXT))
            steps.append(_name(self.text[start : self.at]))
            if self.skip() != ".":
                return tuple(steps)
            self.at += 1

    def pair(self, table: KeyPath) -> None:
        line = self.line()
        path = (*table, *self.key())
        self.note(path, line)
        self.at += 1
        self.value(path)

    def value(self, path: KeyPath) -> None:
        opening = self.skip()
        if opening == "[":
            self.items(path)
        elif opening == "{":
            self.inline(path)
        else:
            self.at = self.match(_TEXT if opening in "\"'" else _OTHER)

    def items(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while self.skip() != "]":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self.note((*path, index), self.line())
            self.value((*path, index))
            index += 1
        self.at += 1

    def inline(self, path: KeyPath) -> None:
        self.at += 1
        while self.skip() != "}":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self.pair(path)
        self.at += 1


def _name(written: str) -> str:
    """The key that is written, bare or quoted."""
    return next(iter(tomllib.loads(f"{written} = 0"))) if written[0] in "\"'" else written
