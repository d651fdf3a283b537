"""A page's fenced blocks: which are run, how, and what they say.

A comment on the line before a fence says what becomes of it:

- ``<!-- run -->``: it is run, and ends with 0; ``<!-- run, ends with 1 -->``: with 1. Console
  blocks are given to a shell, Python blocks to this Python, TOML blocks are read as a plan.
- ``<!-- save NAME -->``: it is the file NAME of the folder in which the later blocks are run.
- ``<!-- output -->``: what the run before it says on stdout; ``<!-- output, first 9 lines -->``.
- ``<!-- not run: WHY -->``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUN = re.compile(r"run(?:, ends with (\d+))?")
OUTPUT = re.compile(r"output(?:, first (\d+) lines)?")
SAVE = re.compile(r"save (\S+)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the comment before it, its language, its text, where that text stands."""

    mark: str
    language: str
    body: str
    start: int
    end: int

    @property
    def ends_with(self) -> int | None:
        """The exit code it must end with; None where it is not run."""
        found = RUN.fullmatch(self.mark)
        return int(found[1] or 0) if found else None

    @property
    def saved_as(self) -> str | None:
        """The file that it is; None where it is none."""
        found = SAVE.fullmatch(self.mark)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a block; ``shown`` is the output that the page shows for it, if any."""

    block: Block
    code: int
    stdout: str
    stderr: str
    shown: Block | None = None

    @property
    def printed(self) -> str:
        """The output as the page shows it: its first lines, without blanks at their ends."""
        wanted = OUTPUT.fullmatch(self.shown.mark) if self.shown else None
        most = int(wanted[1]) if wanted and wanted[1] else None
        return "".join(f"{line.rstrip()}\n" for line in self.stdout.splitlines()[:most])


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    found = FENCE.finditer(text)
    return [Block(m[1] or "", m[2], m[3], m.start(3), m.end(3)) for m in found]


def run_page(text: str, folder: Path) -> Iterator[Ran]:
    """Run a page's blocks in their order in one folder, as a user would who follows the page."""
    if "examples/" in text:
        shutil.copytree(ROOT / "examples", folder / "examples", dirs_exist_ok=True)
    found = blocks(text)
    for block, after in zip_longest(found, found[1:]):
        if block.saved_as is not None:
            (folder / block.saved_as).write_text(block.body, encoding="utf-8")
        elif block.ends_with is not None:
            done = run_block(block, folder)
            shown = after if after is not None and OUTPUT.fullmatch(after.mark) else None
            yield Ran(block, done.returncode, done.stdout, done.stderr, shown)


def run_block(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block's text in a folder.

    Raises
    ------
    ValueError
        Its language is none that can be run.
    """
    if block.language == "console":
        return typed(block.body, folder)
    if block.language == "python":
        return _python(block.body, folder)
    if block.language == "toml":
        reads = f"import calhard; calhard.AuditPlan.from_text({block.body!r})"
        return _python(reads, folder)
    raise ValueError(f"a block of {block.language or 'no language'} cannot be run")


def typed(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run lines as a user of this environment would; `calhard` is the one beside this Python."""
    return _ran([shutil.which("bash") or "sh", "-c", command], folder)


def _python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return _ran([sys.executable, "-c", code], folder)


def _ran(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path, "COLUMNS": "100", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
