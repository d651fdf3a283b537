"""Names from users, made safe to show: nothing invisible, nothing that moves the cursor."""

from __future__ import annotations

import unicodedata

LONGEST = 80
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that are shown by their number: controls, bidi marks, lone surrogates, …"""


def display_name(name: str, longest: int = LONGEST) -> str:
    r"""Return a name with every invisible or controlling character as ``\\u202e``; cut if long."""
    shown = "".join(_shown(c) for c in name)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _UNSEEN:
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    )
