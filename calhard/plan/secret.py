"""Secrets: named in the configuration, read from the environment or a file, never shown."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)\}")
MASK = "********"


class Secret:
    """A value that is masked wherever it is printed, dumped or hashed."""

    __slots__ = ("_reference",)

    def __init__(self, reference: str) -> None:
        self._reference = reference

    def reveal(self) -> str:
        """Return the secret itself, read now.

        Raises
        ------
        ValueError
            The environment variable is not set, or the file cannot be read.
        """
        return _REFERENCE.sub(_resolved, self._reference)

    def __repr__(self) -> str:
        """Return the mask."""
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Return whether both refer to the same secret."""
        return isinstance(other, Secret) and other._reference == self._reference

    def __hash__(self) -> int:
        """Hash the reference."""
        return hash(self._reference)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Accept a Secret as it is; write the mask."""
        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(lambda _: MASK)
        )


def holds_secret(text: str) -> bool:
    """Return whether a text refers to a secret."""
    return _REFERENCE.search(text) is not None


def _resolved(found: re.Match[str]) -> str:
    kind, name = found[1], found[2]
    if kind == "env":
        if name not in os.environ:
            raise ValueError(f"environment variable {name} is not set")
        return os.environ[name]
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except OSError as e:
        raise ValueError(f"cannot read the secret file {name}: {e.strerror}") from e
