"""Stdout's reader may go away early (``calhard report … | head -1``), and that is no error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Go on in silence when nobody reads stdout any more: the exit code still counts."""
    try:
        yield
    except BrokenPipeError:
        silence()


def json_text(content: Any, *, sort_keys: bool = True) -> str:
    """Return JSON of printable ASCII: a terminal obeys other characters, names may hold them."""
    text = json.dumps(content, indent=2, sort_keys=sort_keys, allow_nan=False)
    return text.replace("\x7f", "\\u007f")


def silence() -> None:
    """Send what is still to be written to stdout nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
