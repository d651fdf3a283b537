"""Names and texts that MLflow takes as they are: what it would refuse or cut is changed here."""

from __future__ import annotations

import re
from hashlib import sha256

from calhard.wording.names import display_name

LONGEST_KEY = 250
LONGEST_PARAM = 6_000
LONGEST_TAG = 8_000
CUT = " … (cut)"
_REFUSED = re.compile(r"[^A-Za-z0-9_\-. /]")
_PATH = re.compile(r"^[./]+|/(?=/)|\.(?=\.)|[./]+$")
"""A key is refused where a path of the same name would mean another file."""


def key_of(name: str) -> str:
    """Return a name as a key; where it had to be changed, six hex digits tell it from others."""
    plain = _PATH.sub("_", _REFUSED.sub("_", name)).strip(" ")
    if plain == name and 0 < len(plain) <= LONGEST_KEY:
        return name
    mark = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{plain[: LONGEST_KEY - 7]}~{mark}".replace("~", "-")


def cut(text: str, longest: int) -> str:
    """Return a text that says so where it was cut."""
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT


def shown(name: str, longest: int = 80) -> str:
    """Return a name with nothing invisible in it."""
    return display_name(name, longest)


def escaped(name: str, longest: int = 80) -> str:
    """Return a name as Markdown that shows it: no sign of it is markup, HTML or part of a link.

    Signs that are none where they stand stay, for those who read the text as it is.
    """
    plain = shown(name, longest)
    around = zip(f" {plain}", plain, f"{plain[1:]} ", strict=False)
    return "".join(
        c if _is_plain(before, c, after) else f"&#{ord(c)};" for before, c, after in around
    )


def _is_plain(before: str, sign: str, after: str) -> bool:
    """Whether a sign is no markup between its neighbours, in any dialect."""
    if sign in ".:=":
        return after == " "
    if sign in "/_":
        return before.isalnum() and after.isalnum()
    return sign.isalnum() or sign in " -,;()…"
