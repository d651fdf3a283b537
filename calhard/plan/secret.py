"""Secrets: named in the configuration, read from the environment or a file, never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_REFERENCE = re.compile(r"\$\{(\w+):([^}]*)\}")
MASK = "********"
_PRIVATE_KEY = re.compile(r"(.*[_-])?(password|passwd|pwd|token|secret|api_?key)", re.IGNORECASE)
_PRIVATE_OPTION = re.compile(r"[?&]\w*(password|passwd|pwd|token|secret|key)\w*=", re.IGNORECASE)


class Secret:
    """A value that is masked wherever it is printed or dumped.

    Parameters
    ----------
    reference : str
        Text with ``${env:NAME}`` or ``${file:PATH}`` in it; or, against advice, the value itself.
    folder : Path, optional
        Where relative paths begin: the configuration's folder.
    """

    __slots__ = ("_folder", "_reference")

    def __init__(self, reference: str, folder: Path | None = None) -> None:
        self._reference = reference
        self._folder = folder or Path()

    def reveal(self) -> str:
        """Return the secret itself, read now.

        Raises
        ------
        ValueError
            The environment variable is not set, or the file cannot be read.
        """
        return _REFERENCE.sub(self._looked_up, self._reference)

    @property
    def is_literal(self) -> bool:
        """Whether the value itself stands in the configuration, which is to be shown nowhere."""
        bare = _REFERENCE.sub("", self._reference)
        return bare == self._reference or shows_log_in(self._reference)

    @property
    def reference(self) -> str:
        """The text that refers to the secret, as a configuration elsewhere may hold it.

        Never the value, unless `is_literal`; paths of files are absolute.
        """
        return _REFERENCE.sub(self._anywhere, self._reference)

    def _anywhere(self, found: re.Match[str]) -> str:
        if found[1] != "file":
            return found[0]
        return f"${{file:{(self._folder / found[2]).absolute()}}}"

    def _looked_up(self, found: re.Match[str]) -> str:
        kind, name = found[1], found[2]
        if kind not in {"env", "file"} or not name:
            raise ValueError(f"{found[0]} names no secret; write ${{env:NAME}} or ${{file:PATH}}")
        return _variable(name) if kind == "env" else _content(self._folder / name)

    def __repr__(self) -> str:
        """Return the mask."""
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Return whether both refer to the same secret."""
        return (
            isinstance(other, Secret)
            and other._reference == self._reference
            and other._folder == self._folder
        )

    def __hash__(self) -> int:
        """Hash the reference."""
        return hash((self._reference, self._folder))


def holds_secret(text: str) -> bool:
    """Return whether a text refers to a secret."""
    return _REFERENCE.search(text) is not None


def shows_log_in(text: str) -> bool:
    """Return whether a password stands in an address itself: its log-in, or one of its options."""
    scheme, mark, rest = _REFERENCE.sub("", text).partition("://")
    if not mark:
        return False
    log_in = rest.rpartition("@")[0] if not scheme.startswith("sqlite") else ""
    return log_in.strip(":") != "" or _PRIVATE_OPTION.search(rest) is not None


def sealed(value: Any, folder: Path | None = None, key: str = "") -> Any:
    """Return a configuration's value with every secret, at any depth, sealed.

    A secret is a text that refers to one, what stands under a key such as ``password`` or
    ``token``, and an address with a log-in in it.
    """
    if isinstance(value, Mapping):
        return {name: sealed(inner, folder, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [sealed(inner, folder, key) for inner in value]
    is_secret = isinstance(value, str) and (
        holds_secret(value) or shows_log_in(value) or _PRIVATE_KEY.fullmatch(key) is not None
    )
    return Secret(value, folder) if is_secret else value


def masked(value: Any) -> Any:
    """Return a sealed value with the mask in place of every secret."""
    if isinstance(value, Mapping):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return MASK if isinstance(value, Secret) else value


def _variable(name: str) -> str:
    try:
        return os.environ[name]
    except (KeyError, ValueError) as e:
        raise ValueError(f"environment variable {name} is not set") from e


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is not UTF-8 text"
        raise ValueError(f"cannot read the secret file {path}: {reason}") from e
